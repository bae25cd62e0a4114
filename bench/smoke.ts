import { call } from './call.ts';
import { codec } from './codec.ts';
import { failover } from './failover.ts';
import { history } from './history.ts';
import { http } from './http.ts';
import { local } from './local.ts';
import { memory } from './memory.ts';
import { placement } from './placement.ts';
import type { Bench, BenchOptions } from './support/bench.ts';
import { say } from './support/say.ts';

const benches: Readonly<Record<string, Bench>> = { call, local, memory, placement, failover, http, codec, history };

/** A short run of every bench, in less than a minute: they must not crash. Its numbers say nothing. */
export async function smoke(options: BenchOptions): Promise<object> {
  const results: Record<string, object> = {};
  const startedAt = performance.now();
  for (const [name, bench] of Object.entries(benches)) {
    say(`${name} (${Math.round((performance.now() - startedAt) / 1_000)} s)`);
    results[name] = await bench({ json: options.json, quick: true });
  }
  say(`all of them in ${Math.round((performance.now() - startedAt) / 1_000)} s`);
  return { results };
}
