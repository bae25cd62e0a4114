import { startNatsServer } from '@perkey/nats/dev';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { BenchOptions } from './support/bench.ts';
import type { CallRun } from './support/call-client.ts';
import type { HeavyFunction } from './support/cpu-profile.ts';
import type { LoadResult } from './support/load-meter.ts';
import { median, round } from './support/numbers.ts';
import { Peer } from './support/peer.ts';
import { say } from './support/say.ts';

interface Row {
  readonly inflight: number;
  readonly rps: number;
  readonly floor_rps: number;
  readonly batched_floor_rps: number;
  /** rps / floor_rps */
  readonly ratio: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
  readonly floor_p50_ms: number;
  readonly batched_floor_p50_ms: number;
}

interface ProcessProfile {
  readonly inflight: number;
  readonly process: 'client' | 'node';
  readonly heaviest: readonly HeavyFunction[];
}

export interface CallResult {
  readonly rows: readonly Row[];
  readonly nats_server_used: string;
  readonly profiles?: readonly ProcessProfile[];
}

type LoadName = CallRun['load'];

const loadNames: readonly LoadName[] = ['product', 'floor', 'batchedFloor'];
const inflights = [1, 64, 256, 1_024];
const rounds = 3;
const profileMs = 4_000;

/** The loads take turns in another order each round, so that a slow moment of the machine meets all of them. */
async function measureRow(client: Peer, inflight: number, ms: number): Promise<Row> {
  const results: Record<LoadName, LoadResult[]> = { product: [], floor: [], batchedFloor: [] };
  for (let turn = 0; turn < rounds; turn += 1) {
    for (let i = 0; i < loadNames.length; i += 1) {
      const load = loadNames[(turn + i) % loadNames.length] as LoadName;
      results[load].push(await client.ask<LoadResult>('run', { load, inflight, ms } satisfies CallRun));
    }
  }
  const medianOf = (load: LoadName, field: keyof LoadResult): number => median(results[load].map((result) => result[field]));
  const [rps, floorRps] = [medianOf('product', 'rps'), medianOf('floor', 'rps')];
  const row: Row = {
    inflight,
    rps,
    floor_rps: floorRps,
    batched_floor_rps: medianOf('batchedFloor', 'rps'),
    ratio: round(rps / floorRps, 3),
    p50_ms: medianOf('product', 'p50_ms'),
    p99_ms: medianOf('product', 'p99_ms'),
    floor_p50_ms: medianOf('floor', 'p50_ms'),
    batched_floor_p50_ms: medianOf('batchedFloor', 'p50_ms'),
  };
  say(`  ${inflight} in flight: ${row.rps}/s, floor ${row.floor_rps}/s, batched floor ${row.batched_floor_rps}/s, ratio ${row.ratio}`);
  return row;
}

async function profileAt(client: Peer, node: Peer, inflight: number, ms: number, folder: string): Promise<ProcessProfile[]> {
  await Promise.all([client.ask('profile'), node.ask('profile')]);
  await client.ask('run', { load: 'product', inflight, ms } satisfies CallRun);
  const peers = { client, node };
  const names = ['client', 'node'] as const;
  return Promise.all(
    names.map(async (name) => {
      const file = join(folder, `call-${name}-${inflight}.cpuprofile`);
      return { inflight, process: name, heaviest: await peers[name].ask<readonly HeavyFunction[]>('profiled', file) };
    }),
  );
}

function print({ rows, profiles = [] }: CallResult): void {
  console.table(rows);
  for (const { inflight, process: name, heaviest } of profiles) {
    console.log(`\n${name} at ${inflight} in flight, by self time`);
    for (const { name: of, where, self_pct } of heaviest) console.log(`${self_pct.toFixed(1).padStart(5)} %  ${of}  ${where}`);
  }
}

/**
 * Requests of one client process to a node in another, through nats-server, over 100 keys in a closed loop: the whole path with zod, mailbox,
 * lease guard and metrics. Beside it, in the same processes and by turns, two floors that send the same number of bytes with nothing around
 * them: a raw NATS echo with one inbox and a message for each request, and the same with all requests of a turn in one message.
 */
export async function call(options: BenchOptions): Promise<CallResult> {
  const ms = options.quick ? 150 : 2_000;
  await using server = await startNatsServer();
  await using node = await Peer.start(new URL('support/call-node.ts', import.meta.url), [server.url]);
  await using client = await Peer.start(new URL('support/call-client.ts', import.meta.url), [server.url]);
  for (const load of loadNames) await client.ask('run', { load, inflight: 256, ms } satisfies CallRun);
  const rows: Row[] = [];
  for (const inflight of inflights) rows.push(await measureRow(client, inflight, ms));
  const profiles: ProcessProfile[] = [];
  if (options.profile !== undefined) {
    await mkdir(options.profile, { recursive: true });
    for (const inflight of [256, 1_024]) profiles.push(...(await profileAt(client, node, inflight, profileMs, options.profile)));
  }
  const result = { rows, nats_server_used: server.info.version, ...(profiles.length > 0 && { profiles }) };
  if (!options.json) print(result);
  return result;
}
