import { memory, type Node, startNode } from '@perkey/core';
import { account, Account, snapshotEvery } from './support/account.ts';
import type { BenchOptions } from './support/bench.ts';
import { type BenchStore, inJetStream, inMemory, inSqlite } from './support/durable-bench-store.ts';
import { oneServer } from './support/jetstream-servers.ts';
import { percentile, round } from './support/numbers.ts';
import { say } from './support/say.ts';

interface Row {
  readonly store: string;
  readonly operations_per_s: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
  /** The bare store, one append after the other. */
  readonly floor_per_s: number;
  readonly ratio: number;
}

export interface BankResult {
  readonly operations: number;
  readonly accounts: number;
  readonly snapshot_every: number;
  readonly rows: readonly Row[];
}

const accounts = 100;
const floorMs = 2_000;

/** One operation after the other: every third takes some of what was paid in. */
async function operate(node: Node, operations: number): Promise<Float64Array> {
  const times = new Float64Array(operations);
  for (let i = 0; i < operations; i += 1) {
    const handle = node.actor(Account, `account-${i % accounts}`);
    const startedAt = performance.now();
    await (Math.trunc(i / accounts) % 3 === 2 ? handle.withdraw({ amount: 2 }) : handle.deposit({ amount: 2 }));
    times[i] = performance.now() - startedAt;
  }
  return times;
}

async function measure(store: BenchStore, operations: number, quick: boolean): Promise<Row> {
  await using node = await startNode({ cluster: 'bench', nodeId: 'node-0', shards: 64, transport: memory(), store, actors: [account] });
  await operate(node, Math.round(operations / 50));
  await using floor = await store.floor(await store.lastBody());
  const ms = quick ? 100 : floorMs;
  const before = await floor.run(1, ms);
  const startedAt = performance.now();
  const times = (await operate(node, operations)).sort();
  const rate = Math.round((operations * 1_000) / (performance.now() - startedAt));
  const bare = Math.round((before.rps + (await floor.run(1, ms)).rps) / 2);
  const [p50, p99] = [round(percentile(times, 50), 4), round(percentile(times, 99), 4)];
  const row: Row = {
    ...{ store: store.title, operations_per_s: rate, p50_ms: p50, p99_ms: p99 },
    ...{ floor_per_s: bare, ratio: round(rate / bare, 3) },
  };
  say(`  ${row.store}: ${rate}/s, floor ${bare}/s, ratio ${row.ratio}`);
  return row;
}

/** 50,000 deposits and withdrawals over 100 accounts, each after the one before was answered, with a snapshot of each account every 100 events. */
export async function bank(options: BenchOptions): Promise<BankResult> {
  const operations = options.quick ? 1_000 : 50_000;
  const rows: Row[] = [];
  for (const start of [inMemory, () => inSqlite('full'), () => inJetStream(oneServer)]) {
    await using store = await start();
    rows.push(await measure(store, operations, options.quick));
  }
  if (!options.json) console.table(rows);
  return { operations, accounts, snapshot_every: snapshotEvery, rows };
}
