import { benches } from './benches.ts';
import type { BenchOptions } from './support/bench.ts';
import { say } from './support/say.ts';

/** A short run of every bench, in less than two minutes: they must not crash. Its numbers say nothing. */
export async function smoke(options: BenchOptions): Promise<object> {
  const results: Record<string, object> = {};
  const startedAt = performance.now();
  for (const { name, run } of benches) {
    say(`${name} (${Math.round((performance.now() - startedAt) / 1_000)} s)`);
    results[name] = await run({ json: options.json, quick: true });
  }
  say(`all of them in ${Math.round((performance.now() - startedAt) / 1_000)} s`);
  return { results };
}
