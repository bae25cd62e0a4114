import { memory, type Node, startNode } from '@perkey/core';
import { setTimeout as delay } from 'node:timers/promises';
import { account, Account, plainAccount, PlainAccount, snapshotEvery } from './support/account.ts';
import { BareJetStream, barePush, orderedRead } from './support/bare-jetstream.ts';
import { bareChainRead } from './support/bare-sqlite.ts';
import type { BenchOptions } from './support/bench.ts';
import { type BenchStore, inJetStream, inSqlite } from './support/durable-bench-store.ts';
import { oneServer } from './support/jetstream-servers.ts';
import { percentile, round } from './support/numbers.ts';
import { say } from './support/say.ts';
import { takingTurns } from './support/taking-turns.ts';

interface Row {
  readonly store: string;
  readonly events: number;
  /** Read after the snapshot; all of them where there is none. */
  readonly read: number;
  /** Loaded by a node for the first time, which then is their owner in the place of another. */
  readonly first?: boolean;
  readonly p50_ms: number;
  readonly p99_ms: number;
  /** One read of all the same records: by the client library's ordered consumer, or along the chain in the file. */
  readonly raw_p50_ms?: number;
  /** p50_ms / raw_p50_ms */
  readonly ratio?: number;
  /** A push consumer with nothing around it. */
  readonly bare_p50_ms?: number;
}

export interface LoadResult {
  readonly other_events: number;
  readonly rows: readonly Row[];
}

type Raw = Readonly<Record<string, () => Promise<number>>>;
/** The raw reads of the stream whose last record has the sequence. */
type RawReads = (last: number, count: number) => Promise<Raw>;

const natsStream = 'perkey_bench_events';
/** Behind the last snapshot. */
const tail = 50;
/** Accounts that a node loads which never had them, and how many of those count for nothing, while all is compiled. */
const [newAccounts, newUncounted] = [50, 10];

async function fill(node: Node, contract: typeof Account, key: string, events: number): Promise<void> {
  for (let i = 0; i < events; i += 1) await node.actor(contract, key).deposit({ amount: 1 });
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await run();
  return performance.now() - startedAt;
}

/** How long the first request to an account takes that is not in memory. */
async function activation(node: Node, contract: typeof Account, key: string, events: number): Promise<number> {
  const handle = node.actor(contract, key);
  await handle.leave();
  const startedAt = performance.now();
  const balance = await handle.balance();
  const ms = performance.now() - startedAt;
  if (balance !== events) throw new Error(`the balance is ${balance} after ${events} deposits of 1`);
  return ms;
}

async function sequencesOf({ opened }: BenchStore, type: string, key: string, after: number): Promise<readonly number[]> {
  const sequences: number[] = [];
  for await (const { records } of opened.events.read({ after, batchMax: 1_000, stream: { type, key } }))
    sequences.push(...records.map(({ sequence }) => sequence));
  return sequences;
}

/** Snapshots are saved beside the commits: waits until the last one is there. */
async function snapshotSaved(store: BenchStore, key: string): Promise<void> {
  const stream = { type: Account.type, key };
  for (let attempt = 0; attempt < 500; attempt += 1) {
    const [newest] = await store.opened.snapshots.load(stream);
    if (newest !== undefined && (await sequencesOf(store, stream.type, key, newest.sequence)).length === tail) return;
    await delay(10);
  }
  throw new Error(`the snapshot of ${key} was not saved`);
}

const newKey = (i: number): string => `new-${i}`;

function nodeWith(store: BenchStore): Promise<Node> {
  const actors = [account, plainAccount];
  return startNode({ cluster: 'bench', nodeId: 'node-0', shards: 64, transport: memory(), store, actors });
}

/** By a node that starts now, with the fence of a new owner. */
async function measureFirst(store: BenchStore): Promise<Row> {
  await using node = await nodeWith(store);
  const samples: number[] = [];
  for (let i = 0; i < newAccounts; i += 1) samples.push(await timed(() => node.actor(Account, newKey(i)).balance()));
  const sorted = Float64Array.from(samples.slice(newUncounted)).sort();
  const [p50, p99] = [round(percentile(sorted, 50), 3), round(percentile(sorted, 99), 3)];
  say(`  ${store.title}, a snapshot and ${tail} of ${snapshotEvery + tail} events, by a new owner: ${p50} ms`);
  return { store: store.title, events: snapshotEvery + tail, read: tail, first: true, p50_ms: p50, p99_ms: p99 };
}

async function measure(store: BenchStore, rawReads: RawReads, options: BenchOptions, others: number): Promise<readonly Row[]> {
  const rows = await measureAgain(store, rawReads, options, others);
  return [...rows, await measureFirst(store)];
}

async function measureAgain(store: BenchStore, rawReads: RawReads, options: BenchOptions, others: number): Promise<readonly Row[]> {
  await using node = await nodeWith(store);
  const Plain = PlainAccount;
  const sizes = options.quick ? [10, 100] : [10, 1_000, 10_000];
  const withSnapshot = sizes.filter((size) => size >= snapshotEvery).map((size) => size + tail);
  await Promise.all([
    ...sizes.map((size) => fill(node, Plain, `sized-${size}`, size)),
    ...withSnapshot.map((size) => fill(node, Account, `sized-${size}`, size)),
    ...Array.from({ length: newAccounts }, (_, i) => fill(node, Account, newKey(i), snapshotEvery + tail)),
    ...Array.from({ length: others / 50 }, (_, i) => fill(node, Plain, `other-${i}`, 50)),
  ]);
  const rows: Row[] = [];
  const times = (size: number): number => (options.quick ? 5 : size > 1_000 ? 20 : 100);
  for (const size of sizes) {
    const key = `sized-${size}`;
    const last = (await sequencesOf(store, PlainAccount.type, key, 0)).at(-1) ?? 0;
    const runs = { activation: () => activation(node, Plain, key, size), ...(await rawReads(last, size)) };
    const {
      activation: product,
      raw,
      bare,
    } = (await takingTurns(times(size), runs)) as Readonly<Record<string, { readonly p50_ms: number; readonly p99_ms: number }>>;
    if (product === undefined || raw === undefined) throw new Error('nothing was measured');
    const beside = { raw_p50_ms: raw.p50_ms, ratio: round(product.p50_ms / raw.p50_ms, 2) };
    rows.push({ store: store.title, events: size, read: size, ...product, ...beside, ...(bare && { bare_p50_ms: bare.p50_ms }) });
    say(`  ${store.title}, ${size} events: ${product.p50_ms} ms, raw ${raw.p50_ms} ms, ratio ${beside.ratio}`);
  }
  for (const size of withSnapshot) {
    const key = `sized-${size}`;
    await snapshotSaved(store, key);
    const { product } = await takingTurns(times(0), { product: () => activation(node, Account, key, size) });
    rows.push({ store: store.title, events: size, read: tail, ...product });
    say(`  ${store.title}, a snapshot and ${tail} of ${size} events: ${product.p50_ms} ms`);
  }
  for (let i = 0; i < newAccounts; i += 1) await snapshotSaved(store, newKey(i));
  return rows;
}

async function onJetStream(options: BenchOptions, others: number): Promise<readonly Row[]> {
  await using store = await inJetStream(oneServer);
  await using bare = await BareJetStream.connect(store.servers.urls);
  const rawReads: RawReads = async (last, count) => {
    const { message } = (await bare.api(`STREAM.MSG.GET.${natsStream}`, { seq: last })) as { message?: { subject?: string } };
    const subject = message?.subject ?? '';
    return {
      raw: () => timed(() => orderedRead(bare, natsStream, subject, count)),
      bare: () => timed(() => barePush(bare, natsStream, subject, count)),
    };
  };
  return await measure(store, rawReads, options, others);
}

async function onSqlite(options: BenchOptions, others: number): Promise<readonly Row[]> {
  // How it is written makes no difference to how it is read.
  await using store = await inSqlite('off');
  const rawReads: RawReads = async (last, count) => ({
    raw: async () => {
      const startedAt = performance.now();
      const rows = bareChainRead(store.path, 'events_records', last);
      if (rows !== count) throw new Error(`${rows} of ${count} rows were read`);
      return performance.now() - startedAt;
    },
  });
  return await measure(store, rawReads, options, others);
}

/**
 * The first request to an aggregate that is not in memory: what it reads, its fold and the answer, with and without a snapshot, among 50,000 events
 * of others. Beside it, by turns, raw reads of the same records. The aggregates were in memory before, but for those of a node that is started last.
 */
export async function load(options: BenchOptions): Promise<LoadResult> {
  const others = options.quick ? 500 : 50_000;
  const rows = [...(await onJetStream(options, others)), ...(await onSqlite(options, others))];
  if (!options.json) console.table(rows);
  return { other_events: others, rows };
}
