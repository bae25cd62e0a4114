import {
  defineProjection,
  EventStore,
  memory,
  noHead,
  noMetrics,
  startNode,
  type StreamHead,
  systemClock,
  systemRandom,
} from '@perkey/core';

import { Account, account, deposited } from './support/account.ts';
import { BareJetStream, barePush, orderedRead } from './support/bare-jetstream.ts';
import { barePagedRead } from './support/bare-sqlite.ts';
import type { BenchOptions } from './support/bench.ts';
import { benchEnvironment } from './support/bench-environment.ts';
import { type BenchStore, inJetStream, inSqlite } from './support/durable-bench-store.ts';
import { oneServer } from './support/jetstream-servers.ts';
import { median, round } from './support/numbers.ts';
import { say } from './support/say.ts';

interface Row {
  readonly store: string;
  readonly events_per_s: number;
  /** The client library's ordered consumer; pages of bare rows. */
  readonly raw_per_s: number;
  /** events_per_s / raw_per_s */
  readonly ratio: number;
  /** A push consumer with nothing around it. */
  readonly bare_per_s?: number;
  /** The store's log alone, in pages of the same size: no decoding, no handler. */
  readonly log_per_s: number;
}

export interface ReplayResult {
  readonly events: number;
  readonly batch: number;
  readonly rows: readonly Row[];
}

const natsStream = 'perkey_bench_events';
const streams = 10_000;
const batchMax = 1_000;

/** Commits of one event each, over many streams. */
async function fill(store: BenchStore, events: number): Promise<void> {
  const open = await store.open(benchEnvironment);
  const { shards } = benchEnvironment;
  const history = new EventStore({ log: open.events, clock: systemClock, random: systemRandom, metrics: noMetrics, shards });
  const author = { epoch: 1, owner: 'node-0/fill' };
  const perStream = Math.max(1, events / streams);
  let begun = 0;
  const write = async (): Promise<void> => {
    while (begun < events / perStream) {
      const stream = { type: Account.type, key: `account-${begun}` };
      begun += 1;
      let head: StreamHead = noHead;
      for (let i = 0; i < perStream; i += 1) {
        const draft = { id: history.newCommitId(), at: Date.now(), events: [deposited] };
        const result = await history.append(stream, head, author, draft);
        if (result.kind !== 'appended') throw new Error(`an append was ${JSON.stringify(result)}`);
        head = result.head;
      }
    }
  };
  await Promise.all(Array.from({ length: 2_000 }, () => write()));
  await open.close();
  say(`  ${events} events are there`);
}

/** From the first event that the projection gets to the last; its node is one of its own. */
async function project(store: BenchStore, events: number, name: string): Promise<number> {
  let [seen, sum, startedAt] = [0, 0, 0];
  let end = (): void => {};
  const all = new Promise<void>((resolve) => (end = resolve));
  const totals = defineProjection({
    name,
    batchMax,
    handle({ data }) {
      if (seen === 0) startedAt = performance.now();
      seen += 1;
      sum += (data as { readonly amount: number }).amount;
      if (seen === events) end();
    },
  });
  const actors = [account];
  await using node = await startNode({
    ...{ cluster: 'bench', nodeId: 'node-0', shards: benchEnvironment.shards, transport: memory(), store, actors },
    projections: [totals],
  });
  await all;
  const [run] = node.projections?.status() ?? [];
  if (run?.error !== undefined) throw new Error(run.error);
  const seconds = (performance.now() - startedAt) / 1_000;
  if (sum !== events) throw new Error(`the sum of ${events} deposits of 1 is ${sum}`);
  return events / seconds;
}

async function readLog(store: BenchStore): Promise<number> {
  const open = await store.open(benchEnvironment);
  const startedAt = performance.now();
  let rows = 0;
  for await (const { records } of open.events.read({ after: 0, batchMax })) rows += records.length;
  const seconds = (performance.now() - startedAt) / 1_000;
  await open.close();
  return rows / seconds;
}

async function measure(
  store: BenchStore,
  events: number,
  rounds: number,
  raw: Readonly<Record<string, () => Promise<number>>>,
): Promise<Row> {
  let turnNumber = 0;
  const runs: Record<string, () => Promise<number>> = {
    product: () => project(store, events, `totals-${(turnNumber += 1)}`),
    log: () => readLog(store),
    ...raw,
  };
  const names = Object.keys(runs);
  const rates = new Map<string, number[]>(names.map((name) => [name, []]));
  for (let turn = 0; turn < rounds; turn += 1) {
    for (let i = 0; i < names.length; i += 1) {
      const name = names[(turn + i) % names.length] as string;
      const rate = Math.round((await runs[name]?.()) ?? Number.NaN);
      rates.get(name)?.push(rate);
      say(`  ${store.title}, ${name}: ${rate}/s`);
    }
  }
  const of = (name: string): number => median(rates.get(name) ?? []);
  const [rate, ordered] = [of('product'), of('raw')];
  const bare = names.includes('bare') ? { bare_per_s: of('bare') } : {};
  return { store: store.title, events_per_s: rate, raw_per_s: ordered, ratio: round(rate / ordered, 3), log_per_s: of('log'), ...bare };
}

async function onJetStream(events: number, rounds: number): Promise<Row> {
  await using store = await inJetStream(oneServer);
  await fill(store, events);
  await using bare = await BareJetStream.connect(store.servers.urls);
  const rate = async (read: () => Promise<number>): Promise<number> => {
    const startedAt = performance.now();
    return ((await read()) * 1_000) / (performance.now() - startedAt);
  };
  return await measure(store, events, rounds, {
    raw: () => rate(() => orderedRead(bare, natsStream, undefined, events)),
    bare: () => rate(() => barePush(bare, natsStream, undefined, events)),
  });
}

async function onSqlite(events: number, rounds: number): Promise<Row> {
  await using store = await inSqlite('off');
  await fill(store, events);
  return await measure(store, events, rounds, {
    raw: async () => {
      const { rows, perSecond } = barePagedRead(store.path, 'events_records', batchMax);
      if (rows !== events) throw new Error(`${rows} of ${events} rows were read`);
      return perSecond;
    },
  });
}

/**
 * A projection over 1,000,000 events of 10,000 aggregates: read, decoded, handed to a handler that adds them up, with a checkpoint after each
 * 1,000. Beside it, by turns, raw reads of the same records.
 */
export async function replay(options: BenchOptions): Promise<ReplayResult> {
  const [events, rounds] = options.quick ? [20_000, 1] : [1_000_000, 3];
  const rows = [await onJetStream(events, rounds), await onSqlite(events, rounds)];
  if (!options.json) console.table(rows);
  return { events, batch: batchMax, rows };
}
