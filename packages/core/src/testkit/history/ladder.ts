import type { HistoryFinding } from './finding.ts';
import { fillGaps, type Gap } from './gaps.ts';
import type { Life } from './lives.ts';
import type { HistoryPlaces, PlacedOperation } from './model.ts';

/** A placed operation with the number of its life: the lives come one after the other. */
export interface Rung extends PlacedOperation {
  readonly rank: number;
  /** It was executed before this: an operation of unknown outcome may be long after its caller gave up. */
  readonly end: number;
}

export interface LadderVerdict {
  readonly findings: readonly HistoryFinding[];
  readonly isUndecided: boolean;
  /** By life and place; a read after what it saw. */
  readonly rungs: readonly Rung[];
}

/**
 * Decides a history whose operations tell their place, exactly: there is an order if no two operations changed the same, everything in between is explained by
 * operations of unknown outcome, and no operation began after one had ended that comes later in the order of the places.
 * For then the points `max(t0 of all that come no later)` are in that order and within each operation.
 */
export function decideLadder(
  key: string,
  { placed, loose, refused, faults }: HistoryPlaces,
  lives: readonly Life[],
  stepsMax: number,
): LadderVerdict {
  const ranks = new Map(lives.map(({ name }, i) => [name, i]));
  const rungs = placed.map((place): Rung => {
    const { operation, low, high, life = operation.life } = place;
    const end = operation.outcome === 'ok' ? operation.t1 : Infinity;
    return { operation, low, high, rank: ranks.get(life ?? '') ?? 0, end };
  });
  rungs.sort(inOrder);
  const findings: HistoryFinding[] = faults.map((fault) => ({ ...fault, key }));
  const broken = overlap(key, rungs) ?? stale(key, rungs);
  if (broken !== undefined) findings.push(broken);
  if (findings.length > 0) return { findings, isUndecided: false, rungs };
  const gaps = gapsOf(rungs);
  const filled = fillGaps(gaps, loose, stepsMax);
  if (typeof filled !== 'string') {
    const isDenied = fillGaps(gaps, [...loose, ...refused], stepsMax) === 'filled';
    findings.push(isDenied ? denied(key, filled, refused) : unexplained(key, filled));
  }
  return { findings, isUndecided: filled === 'undecided', rungs };
}

function inOrder(a: Rung, b: Rung): number {
  return a.rank - b.rank || a.high - b.high || b.high - b.low - (a.high - a.low);
}

/** Each rung is climbed once, and a read stands on one, not between two. */
function overlap(key: string, rungs: readonly Rung[]): HistoryFinding | undefined {
  let top: Rung | undefined;
  for (const rung of rungs) {
    const isFirst = top?.rank !== rung.rank;
    const floor = isFirst ? 0 : (top?.high ?? 0);
    if (rung.low < floor) {
      const text = isFirst
        ? `a result lies below the start: it led from ${rung.low} to ${rung.high}`
        : `both cannot be: one led from ${top!.low} to ${top!.high}, the other from ${rung.low} to ${rung.high}`;
      return { rule: 'linearizable', key, text, operations: [...(isFirst ? [] : [top!.operation]), rung.operation] };
    }
    top = rung;
  }
  return undefined;
}

/** What began after another operation had ended comes no earlier. */
function stale(key: string, rungs: readonly Rung[]): HistoryFinding | undefined {
  const ended = rungs.toSorted((a, b) => a.end - b.end);
  let done = 0;
  let highest: Rung | undefined;
  for (const rung of rungs.toSorted((a, b) => a.operation.t0 - b.operation.t0)) {
    for (let next = ended[done]; next !== undefined && next.end < rung.operation.t0; next = ended[done]) {
      if (highest === undefined || highest.rank < next.rank || (highest.rank === next.rank && highest.high < next.high)) highest = next;
      done += 1;
    }
    if (highest === undefined || highest.rank < rung.rank || (highest.rank === rung.rank && highest.high <= rung.low)) continue;
    const [before, now] = highest.rank === rung.rank ? [highest.high, rung.low] : [`a later life of the state`, `an earlier one`];
    const text = `an operation found ${now} after another had been answered with ${before}`;
    return { rule: 'linearizable', key, text, operations: [highest.operation, rung.operation] };
  }
  return undefined;
}

/** From the top: everything that stands at a gap or above had to find it filled. */
function gapsOf(rungs: readonly Rung[]): Gap[] {
  const gaps: Gap[] = [];
  let by: Rung | undefined;
  for (let i = rungs.length - 1; i >= 0; i -= 1) {
    const rung = rungs[i]!;
    const { rank, low } = rung;
    if (by === undefined || rung.end < by.end) by = rung;
    const below = rungs[i - 1];
    const floor = below?.rank === rank ? below.high : 0;
    if (low > floor) gaps.push({ from: floor, to: low, by: by.operation, until: by.end });
  }
  return gaps.toReversed();
}

/** It must have been one of those, though which one may not be known. */
function denied(key: string, { from, to, by, until }: Gap, refused: HistoryPlaces['refused']): HistoryFinding {
  const text = `only operations that were told as not executed explain how ${from} became ${to} before this was answered`;
  const operations = refused.map(({ operation }) => operation).filter(({ t0 }) => t0 <= until);
  return { rule: 'honest outcome', key, text, operations: [...operations.slice(-3), by] };
}

function unexplained(key: string, { from, to, by }: Gap): HistoryFinding {
  const text = `nothing explains how ${from} became ${to} before this was answered: no operation of unknown outcome that had begun by then fits`;
  return { rule: 'linearizable', key, text, operations: [by] };
}
