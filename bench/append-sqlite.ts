import { sqlite } from '@perkey/sqlite';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { BareSqlite } from './support/bare-sqlite.ts';
import type { BenchOptions } from './support/bench.ts';
import { benchEnvironment } from './support/bench-environment.ts';
import { CommitLogLoad } from './support/commit-log-load.ts';
import { median, round } from './support/numbers.ts';
import { say } from './support/say.ts';

interface Row {
  readonly writers: number;
  readonly appends_per_second: number;
  /** Bare transactions with one insert each, in groups of the same number. */
  readonly floor: number;
  readonly ratio: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
  /** How long the event loop of the writers was held up, at worst. */
  readonly loop_p99_ms: number;
}

export interface AppendSqliteResult {
  readonly body_bytes: number;
  /** Bare transactions with 100 inserts each. */
  readonly floor_100: number;
  readonly ratio_256_to_floor_100: number;
  readonly rows: readonly Row[];
}

const bodyBytes = 200;

/**
 * Appends of concurrent writers, each on its own stream, through the commit log of the SQLite store at synchronous=full; beside it bare inserts of the same
 * bytes, in transactions as large as there are writers, into a table with nothing but the bytes. Rounds of both take turns.
 */
export async function appendSqlite(options: BenchOptions): Promise<AppendSqliteResult> {
  const [ms, rounds] = options.quick ? [200, 1] : [2_000, 5];
  const folder = await mkdtemp(join(tmpdir(), 'perkey-bench-'));
  const bare = new BareSqlite(join(folder, 'bare.db'));
  const store = await sqlite({ path: join(folder, 'store.db') }).open(benchEnvironment);
  try {
    const body = new Uint8Array(bodyBytes).fill(7);
    // Until the log beside each file has been worked in once: one that still grows makes every force to the disk slower.
    bare.insert(5_000, body, options.quick ? 0 : 2 * ms);
    await new CommitLogLoad(store.events, 'warm-up', body).run(2_000, options.quick ? 1 : 2 * ms);
    const hundreds: number[] = [];
    const rows: Row[] = [];
    for (const writers of [1, 32, 256]) {
      const load = new CommitLogLoad(store.events, `w${writers}`, body);
      const [floors, rates, p50s, p99s, loops]: number[][] = [[], [], [], [], []];
      for (let i = 0; i < rounds; i += 1) {
        if (writers === 256) hundreds.push(bare.insert(100, body, ms));
        floors?.push(bare.insert(writers, body, ms));
        const delay = monitorEventLoopDelay({ resolution: 1 });
        delay.enable();
        const { rps, p50_ms, p99_ms } = await load.run(writers, ms);
        delay.disable();
        rates?.push(rps);
        p50s?.push(p50_ms);
        p99s?.push(p99_ms);
        loops?.push(delay.percentile(99) / 1e6);
      }
      const [floor, rate] = [Math.round(median(floors ?? [])), Math.round(median(rates ?? []))];
      const row = { writers, appends_per_second: rate, floor, ratio: round(rate / floor, 2) };
      const times = {
        p50_ms: round(median(p50s ?? []), 2),
        p99_ms: round(median(p99s ?? []), 2),
        loop_p99_ms: round(median(loops ?? []), 1),
      };
      rows.push({ ...row, ...times });
      say(`  ${writers} writers: ${rate}/s, floor ${floor}/s`);
    }
    const hundred = Math.round(median(hundreds));
    const ratio = round((rows.at(-1)?.appends_per_second ?? Number.NaN) / hundred, 2);
    const result = { body_bytes: bodyBytes, floor_100: hundred, ratio_256_to_floor_100: ratio, rows };
    say(`  floor in groups of 100: ${hundred}/s`);
    if (!options.json) console.table(rows);
    return result;
  } finally {
    await store.close();
    bare.close();
    await rm(folder, { recursive: true, force: true });
  }
}
