import { systemClock, systemRandom, silentLogger, noMetrics, type CommitLog, type OpenStore } from '@perkey/core';
import { jetstream } from '@perkey/nats';
import { BareJetStream } from './support/bare-jetstream.ts';
import type { BenchOptions } from './support/bench.ts';
import { oneServer, syncingServer, threeServers, type BenchServers } from './support/jetstream-servers.ts';
import { LoadMeter, type LoadResult } from './support/load-meter.ts';
import { median, round } from './support/numbers.ts';
import { say } from './support/say.ts';

interface Row {
  readonly server: string;
  readonly writers: number;
  readonly appends_per_s: number;
  readonly floor_per_s: number;
  /** appends_per_s / floor_per_s */
  readonly ratio: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
  readonly floor_p50_ms: number;
  readonly floor_p99_ms: number;
}

export interface AppendResult {
  readonly rows: readonly Row[];
  readonly body_bytes: number;
}

const bodyBytes = 150;
const rounds = 3;

export function openJetStream(servers: readonly string[], replicas: number, cluster: string): Promise<OpenStore> {
  return jetstream({ servers, replicas }).open({
    cluster,
    nodeId: 'bench',
    shards: 256,
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
    metrics: noMetrics,
    connectTimeoutMs: 30_000,
  });
}

/** Each writer appends to a stream of its own, the next record when the last one was acknowledged. */
async function appendLoop(log: CommitLog, heads: number[], body: Uint8Array, meter: LoadMeter): Promise<void> {
  const write = async (writer: number): Promise<void> => {
    const stream = { type: 'Account', key: `account-${writer}` };
    do {
      const startedAt = meter.timesNext ? performance.now() : 0;
      const outcome = await log.append({ stream, shard: 0, expectedSequence: heads[writer] ?? 0, epoch: 1, body });
      if (outcome.kind !== 'appended') throw new Error(JSON.stringify(outcome));
      heads[writer] = outcome.sequence;
      meter.count();
      if (startedAt > 0) meter.sample(performance.now() - startedAt);
    } while (meter.open);
  };
  await Promise.all(heads.map((_, writer) => write(writer)));
}

async function measure(servers: BenchServers, writers: number, ms: number): Promise<Row> {
  const store = await openJetStream(servers.urls, servers.replicas, 'bench');
  await using bare = await BareJetStream.connect(servers.urls);
  await bare.createStream('floor', 'floor.events.*.*', servers.replicas);
  const body = Buffer.alloc(bodyBytes, 1);
  const heads = Array.from({ length: writers }, () => 0);
  const floorHeads = Array.from({ length: writers }, () => 0);
  const subjects = floorHeads.map((_, writer) => `floor.events.Account.${String(writer).padStart(43, 'x')}`);
  const results = { product: [] as LoadResult[], floor: [] as LoadResult[] };
  const run = {
    product: (): Promise<LoadResult> => withMeter(writers, ms, (meter) => appendLoop(store.events, heads, body, meter)),
    floor: (): Promise<LoadResult> => withMeter(writers, ms, (meter) => bare.appendLoop(subjects, floorHeads, body, meter)),
  };
  // In another order each time, so that a slow moment of the machine meets both.
  const names = ['product', 'floor'] as const;
  for (const name of names) await run[name]();
  for (let turn = 0; turn < rounds; turn += 1) {
    for (const name of turn % 2 === 0 ? names : names.toReversed()) results[name].push(await run[name]());
  }
  await store.close();
  const of = (name: 'product' | 'floor', field: keyof LoadResult): number => median(results[name].map((result) => result[field]));
  const row: Row = {
    server: servers.name,
    writers,
    appends_per_s: of('product', 'rps'),
    floor_per_s: of('floor', 'rps'),
    ratio: round(of('product', 'rps') / of('floor', 'rps'), 3),
    p50_ms: of('product', 'p50_ms'),
    p99_ms: of('product', 'p99_ms'),
    floor_p50_ms: of('floor', 'p50_ms'),
    floor_p99_ms: of('floor', 'p99_ms'),
  };
  say(`  ${servers.name}, ${writers} writers: ${row.appends_per_s}/s, floor ${row.floor_per_s}/s, ratio ${row.ratio}`);
  return row;
}

function withMeter(writers: number, ms: number, run: (meter: LoadMeter) => Promise<void>): Promise<LoadResult> {
  const meter = new LoadMeter(writers);
  return meter.measure(ms, () => run(meter));
}

/**
 * Appends of one record each by 256 concurrent writers to a log in JetStream, beside the floor in the same process and by turns: acknowledged
 * publishes with an expected sequence through one inbox, with nothing around them. On one server, on three with replicas 3, and on one of the
 * newest release that syncs every append to the disk.
 */
export async function appendJetStream(options: BenchOptions): Promise<AppendResult> {
  const ms = options.quick ? 150 : 2_000;
  const rows: Row[] = [];
  for (const start of options.quick ? [oneServer] : [oneServer, threeServers, syncingServer]) {
    await using servers = await start();
    rows.push(await measure(servers, 256, ms));
  }
  if (!options.json) console.table(rows);
  return { rows, body_bytes: bodyBytes };
}
