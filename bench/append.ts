import { memory, startNode } from '@perkey/core';
import { account } from './support/account.ts';
import { depositLoad } from './support/account-load.ts';
import type { BenchOptions } from './support/bench.ts';
import { CommitLogLoad } from './support/commit-log-load.ts';
import { type BenchStore, inJetStream, inMemory, inSqlite } from './support/durable-bench-store.ts';
import { oneServer, syncingServer, threeServers } from './support/jetstream-servers.ts';
import type { LoadResult } from './support/load-meter.ts';
import { median, round } from './support/numbers.ts';
import { say } from './support/say.ts';

interface Row {
  readonly store: string;
  readonly commands_per_s: number;
  readonly floor_per_s: number;
  /** commands_per_s / floor_per_s */
  readonly ratio: number;
  /** Of the store's log alone: the same bytes, and no actor. */
  readonly log_per_s: number;
  readonly log_ratio: number;
  /** Of bare inserts that compare nothing; NaN where there is no such thing. */
  readonly unguarded_per_s: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
  /** NaN where the floor is not asked one by one. */
  readonly floor_p50_ms: number;
  readonly record_bytes: number;
}

export interface AppendResult {
  readonly accounts: number;
  readonly rows: readonly Row[];
}

const accounts = 256;
const names = ['actors', 'log', 'floor', 'unguarded'] as const;
const nothing: LoadResult = { rps: Number.NaN, p50_ms: Number.NaN, p99_ms: Number.NaN };

async function measure(store: BenchStore, ms: number, rounds: number): Promise<Row> {
  await using node = await startNode({ cluster: 'bench', nodeId: 'node-0', shards: 64, transport: memory(), store, actors: [account] });
  // Long enough that everything has been compiled.
  await depositLoad(node, accounts, 2 * ms);
  const body = await store.lastBody();
  await using floor = await store.floor(body);
  const log = new CommitLogLoad(store.opened.events, 'bare', body);
  // The store in memory takes a million records a second and keeps them: for longer than this all is slow, for want of memory.
  const bareMs = store.title === 'memory' ? ms / 10 : ms;
  const runs = {
    actors: (): Promise<LoadResult> => depositLoad(node, accounts, ms),
    log: (): Promise<LoadResult> => log.run(accounts, bareMs),
    floor: (): Promise<LoadResult> => floor.run(accounts, bareMs),
    unguarded: async (): Promise<LoadResult> => (await floor.unguarded?.(accounts, bareMs)) ?? nothing,
  };
  for (const name of names) await runs[name]();
  const results: Record<(typeof names)[number], LoadResult[]> = { actors: [], log: [], floor: [], unguarded: [] };
  // In another order each time, so that a slow moment of the machine meets all of them.
  for (let turn = 0; turn < rounds; turn += 1) {
    for (let i = 0; i < names.length; i += 1) {
      const name = names[(turn + i) % names.length] as (typeof names)[number];
      results[name].push(await runs[name]());
    }
  }
  const of = (name: (typeof names)[number], field: keyof LoadResult): number => median(results[name].map((result) => result[field]));
  const row: Row = {
    store: store.title,
    commands_per_s: of('actors', 'rps'),
    floor_per_s: of('floor', 'rps'),
    ratio: round(of('actors', 'rps') / of('floor', 'rps'), 3),
    log_per_s: of('log', 'rps'),
    log_ratio: round(of('log', 'rps') / of('floor', 'rps'), 3),
    unguarded_per_s: of('unguarded', 'rps'),
    p50_ms: of('actors', 'p50_ms'),
    p99_ms: of('actors', 'p99_ms'),
    floor_p50_ms: of('floor', 'p50_ms'),
    record_bytes: body.length,
  };
  say(`  ${row.store}: ${row.commands_per_s}/s, floor ${row.floor_per_s}/s, ratio ${row.ratio}; log alone ${row.log_per_s}/s`);
  return row;
}

/**
 * Commands of 256 aggregates at once, one event each, through a node's own handle: schema, mailbox, handler, commit, acknowledgement, reply.
 * Beside it, in the same process and by turns, the store with nothing around it, and the store's log without actors, all with the bytes of the
 * commits themselves. With nothing around it each append still names what it expects, as every append of ours must: transactions of 100 inserts
 * into a table that has each version of a stream once; acknowledged publishes with an expected sequence through one inbox; of the memory store
 * its own log.
 */
export async function append(options: BenchOptions): Promise<AppendResult> {
  const [ms, rounds] = options.quick ? [150, 1] : [1_500, 3];
  const rows: Row[] = [];
  const stores = [inMemory, () => inSqlite('full'), () => inJetStream(oneServer)];
  if (!options.quick) stores.push(...[threeServers, syncingServer].map((start) => () => inJetStream(start)));
  for (const start of stores) {
    await using store = await start();
    rows.push(await measure(store, ms, rounds));
  }
  if (!options.json) console.table(rows);
  return { accounts, rows };
}
