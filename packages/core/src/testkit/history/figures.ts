import type { KeyGap } from './liveness.ts';
import type { History } from './operation.ts';

/** What happened, in numbers. Times in ms; NaN where nothing was answered. */
export interface HistoryFigures {
  readonly operations: number;
  readonly answered: number;
  readonly notExecuted: number;
  readonly unknown: number;
  readonly events: number;
  readonly keys: number;
  /** How often each code was told. */
  readonly codes: Readonly<Record<string, number>>;
  /** Of the answered operations. */
  readonly latencyMs: Percentiles;
  /** The longest time without an answer of each key. */
  readonly gapMs: Percentiles;
  readonly longestGap: KeyGap | undefined;
}

export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** `gaps`: one for each key, the longest first. */
export function figuresOf({ operations, events }: History, gaps: readonly KeyGap[]): HistoryFigures {
  const latencies: number[] = [];
  const counts = { ok: 0, 'not executed': 0, unknown: 0 };
  const codes = new Map<string, number>();
  for (const { outcome, code, t0, t1 } of operations) {
    counts[outcome] += 1;
    if (code !== undefined) codes.set(code, (codes.get(code) ?? 0) + 1);
    if (outcome === 'ok') latencies.push(t1 - t0);
  }
  return {
    operations: operations.length,
    answered: counts.ok,
    notExecuted: counts['not executed'],
    unknown: counts.unknown,
    events: events.length,
    keys: gaps.length,
    codes: Object.fromEntries(codes),
    latencyMs: percentiles(latencies),
    gapMs: percentiles(gaps.map(({ gapMs }) => gapMs)),
    longestGap: gaps[0],
  };
}

/** By the nearest rank. */
function percentiles(numbers: readonly number[]): Percentiles {
  const sorted = Float64Array.from(numbers).sort();
  const at = (percent: number): number => sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? Number.NaN;
  return { p50: at(50), p99: at(99), max: at(100) };
}
