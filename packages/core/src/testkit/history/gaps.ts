import type { HistoryPlaces } from './model.ts';
import type { Operation } from './operation.ts';

/** A stretch of a ladder that no answered operation climbed. */
export interface Gap {
  readonly from: number;
  readonly to: number;
  /** What was answered first of all that stands above it. */
  readonly by: Operation;
  /** When that had been answered at the latest. */
  readonly until: number;
}

/** Loose operations of one size by their start: of these, the one that began earlier is always as good. */
interface Heap {
  readonly size: number;
  readonly starts: readonly number[];
}

/**
 * Whether loose operations can fill all gaps, each of them used once and begun before its gap was seen filled. `gaps` are in order, so that the times by which
 * they must be filled rise. Exact; a choice there is only between sizes, and `stepsMax` bounds the looks at choices.
 * Returns the first gap that cannot be filled in any way that fills those before it.
 */
export function fillGaps(gaps: readonly Gap[], loose: HistoryPlaces['loose'], stepsMax: number): 'filled' | 'undecided' | Gap {
  const bySize = Map.groupBy(loose, ({ size }) => size);
  const heaps = [...bySize].map(([size, same]): Heap => ({
    size,
    starts: same.map(({ operation }) => operation.t0).sort((a, b) => a - b),
  }));
  heaps.sort((a, b) => b.size - a.size);
  let used: readonly (readonly number[])[] = [heaps.map(() => 0)];
  let steps = 0;
  for (const gap of gaps) {
    const after = new Map<string, readonly number[]>();
    for (const counts of used) {
      steps += fill(gap, heaps, counts, after, stepsMax - steps);
      if (steps >= stepsMax) return 'undecided';
    }
    if (after.size === 0) return gap;
    used = [...after.values()];
  }
  return 'filled';
}

/** Puts into `after` every way to fill the gap from what `counts` leaves; returns how many steps that took. */
function fill(
  gap: Gap,
  heaps: readonly Heap[],
  counts: readonly number[],
  after: Map<string, readonly number[]>,
  stepsMax: number,
): number {
  let steps = 0;
  const now = [...counts];
  const rest = (index: number, missing: number): void => {
    steps += 1;
    if (steps >= stepsMax) return;
    if (missing === 0) {
      after.set(now.join(), [...now]);
      return;
    }
    const heap = heaps[index];
    if (heap === undefined) return;
    const before = now[index]!;
    const most = Math.min(Math.floor(missing / heap.size), heap.starts.length - before);
    for (let count = 0; count <= most; count += 1) {
      if (count > 0 && heap.starts[before + count - 1]! > gap.until) break;
      if (index === heaps.length - 1 && count * heap.size !== missing) continue;
      now[index] = before + count;
      rest(index + 1, missing - count * heap.size);
    }
    now[index] = before;
  };
  rest(0, gap.to - gap.from);
  return steps;
}
