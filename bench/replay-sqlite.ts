import type { CommitLog } from '@perkey/core';
import { sqlite } from '@perkey/sqlite';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { barePagedRead } from './support/bare-sqlite.ts';
import type { BenchOptions } from './support/bench.ts';
import { benchEnvironment } from './support/bench-environment.ts';
import { median, round } from './support/numbers.ts';
import { say } from './support/say.ts';

interface Load {
  readonly events: number;
  readonly p50_ms: number;
}

export interface ReplaySqliteResult {
  readonly events: number;
  readonly body_bytes: number;
  readonly events_per_second: number;
  /** Pages of the same number of rows, read by one statement over and over. */
  readonly floor: number;
  readonly ratio: number;
  /** A read of the whole of one stream among the others. */
  readonly loads: readonly Load[];
}

const bodyBytes = 200;
const page = 500;
const atOnce = 2_000;
const streams = 1_000;

async function fill(log: CommitLog, events: number): Promise<void> {
  const body = new Uint8Array(bodyBytes).fill(7);
  const heads: number[] = [];
  for (let from = 0; from < events; from += atOnce) {
    // The log appends in the order in which it is asked, so that a writer knows the sequence before it is told.
    const appends = Array.from({ length: Math.min(atOnce, events - from) }, (_, i) => {
      const stream = streamOf(from + i);
      const expectedSequence = heads[stream] ?? 0;
      heads[stream] = from + i + 1;
      return log.append({ stream: { type: 'Account', key: `a${stream}` }, shard: stream % 64, expectedSequence, epoch: 1, body });
    });
    for (const outcome of await Promise.all(appends)) {
      if (outcome.kind !== 'appended') throw new Error(`an append was ${JSON.stringify(outcome)}`);
    }
  }
}

/** The first streams get 10, 1,000 and 10,000 of the records, each spread over the whole; the rest is shared by the others. */
function streamOf(number: number): number {
  if (number % 100 === 0) return 0;
  if (number % 1_000 === 1) return 1;
  if (number % 100_000 === 2) return 2;
  return 3 + (number % streams);
}

async function replay(log: CommitLog): Promise<{ readonly rows: number; readonly perSecond: number }> {
  const startedAt = performance.now();
  let [rows, bytes] = [0, 0];
  for await (const { records } of log.read({ after: 0, batchMax: page })) {
    for (const { body } of records) bytes += body.length;
    rows += records.length;
  }
  if (bytes === 0) throw new Error('the log is empty');
  return { rows, perSecond: (rows * 1_000) / (performance.now() - startedAt) };
}

async function loadOf(log: CommitLog, stream: number, rounds: number): Promise<Load> {
  const times: number[] = [];
  let events = 0;
  for (let i = 0; i < rounds; i += 1) {
    const startedAt = performance.now();
    events = 0;
    for await (const { records } of log.read({ after: 0, batchMax: page, stream: { type: 'Account', key: `a${stream}` } }))
      events += records.length;
    times.push(performance.now() - startedAt);
  }
  return { events, p50_ms: round(median(times), 3) };
}

/** All events of a store, a page at a time, through the commit log, beside bare pages of the same table. Rounds of both take turns. */
export async function replaySqlite(options: BenchOptions): Promise<ReplaySqliteResult> {
  const [events, rounds] = options.quick ? [20_000, 1] : [1_000_000, 5];
  const folder = await mkdtemp(join(tmpdir(), 'perkey-bench-'));
  const path = join(folder, 'store.db');
  const store = await sqlite({ path, synchronous: 'off' }).open(benchEnvironment);
  try {
    await fill(store.events, events);
    say(`  ${events} events are there`);
    barePagedRead(path, 'events_records', page);
    await replay(store.events);
    const [floors, rates]: [number[], number[]] = [[], []];
    for (let i = 0; i < rounds; i += 1) {
      const [bare, ours] = [barePagedRead(path, 'events_records', page), await replay(store.events)];
      if (bare.rows !== events || ours.rows !== events) throw new Error(`${bare.rows} and ${ours.rows} of ${events} were read`);
      floors.push(bare.perSecond);
      rates.push(ours.perSecond);
    }
    const [floor, rate] = [Math.round(median(floors)), Math.round(median(rates))];
    say(`  replay ${rate}/s, floor ${floor}/s`);
    const loads: Load[] = [];
    for (const stream of [2, 1, 0]) loads.push(await loadOf(store.events, stream, rounds * 10));
    const result = { events, body_bytes: bodyBytes, events_per_second: rate, floor, ratio: round(rate / floor, 2), loads };
    if (!options.json) console.table([{ ...result, loads: loads.map((load) => `${load.events}: ${load.p50_ms} ms`).join(', ') }]);
    return result;
  } finally {
    await store.close();
    await rm(folder, { recursive: true, force: true });
  }
}
