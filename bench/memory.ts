import type { BenchOptions } from './support/bench.ts';
import { round } from './support/numbers.ts';
import { Peer } from './support/peer.ts';
import { say } from './support/say.ts';

export interface MemoryResult {
  readonly actors: number;
  readonly bytes_per_actor: number;
  readonly heap_empty_mb: number;
  readonly heap_full_mb: number;
  readonly heap_passivated_mb: number;
  /** How much larger the heap is after the passivation than before the actors came, in % of what it was before. */
  readonly left_pct: number;
  readonly rss_full_mb: number;
  readonly fill_ms: number;
  /** From the last look at the full heap until no actor was resident; the time without work that passivation waits for is within. */
  readonly passivation_ms: number;
}

const megabytes = (bytes: number): number => round(bytes / 2 ** 20, 1);

/**
 * What an idle counter costs on one node, in bytes of the heap after a forced collection, its key and its state included; and what is left of
 * them when all were passivated. Against the heap of the same node before they came.
 */
export async function memory(options: BenchOptions): Promise<MemoryResult> {
  const [actors, idleMs] = options.quick ? [50_000, 1_500] : [1_000_000, 30_000];
  await using node = await Peer.start(new URL('support/memory-node.ts', import.meta.url), [String(idleMs), String(actors)]);
  // Code, and whatever grows once: not what the actors cost.
  await node.ask('fill', Math.round(actors / 50));
  await node.ask('untilEmpty');
  const empty = await node.ask<number>('heapBytes');
  const startedAt = performance.now();
  const resident = await node.ask<number>('fill', actors);
  const fillMs = performance.now() - startedAt;
  if (resident !== actors) throw new Error(`${resident} of ${actors} actors are resident: passivation came too early for this machine`);
  const full = await node.ask<number>('heapBytes');
  const rss = await node.ask<number>('rss');
  say(`  ${actors} actors after ${Math.round(fillMs)} ms, ${round((full - empty) / actors, 1)} bytes each; waiting for their passivation`);
  const passivationMs = await node.ask<number>('untilEmpty');
  const passivated = await node.ask<number>('heapBytes');
  const result = {
    actors,
    bytes_per_actor: round((full - empty) / actors, 1),
    heap_empty_mb: megabytes(empty),
    heap_full_mb: megabytes(full),
    heap_passivated_mb: megabytes(passivated),
    left_pct: round((100 * (passivated - empty)) / empty, 1),
    rss_full_mb: megabytes(rss),
    fill_ms: Math.round(fillMs),
    passivation_ms: Math.round(passivationMs),
  };
  if (!options.json) console.table([result]);
  return result;
}
