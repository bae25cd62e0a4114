import type { HistoryFinding } from './finding.ts';
import type { Operation } from './operation.ts';
import { timeText } from './text.ts';

export interface AliveAtTheEnd {
  /** When the last fault ended, by the clock of the history. */
  readonly since: number;
  /** Until then the answers must have come. Default 10,000. */
  readonly withinMs?: number;
  /** So many answers one after the other, without a failure in between. Default 5. */
  readonly inARow?: number;
  /** Default: every key of the history. */
  readonly keys?: readonly string[];
  /** Incarnations that must have answered something as well. Default: none is asked for. */
  readonly incarnations?: readonly string[];
}

/** One finding for each key that was not answered again in time, and for each incarnation. */
export function aliveAtTheEnd(operations: readonly Operation[], asked: AliveAtTheEnd): HistoryFinding[] {
  const { since, withinMs = 10_000, inARow = 5, incarnations = [] } = asked;
  const after = operations.filter(({ t0 }) => t0 >= since);
  const byKey = Map.groupBy(after, ({ key }) => key);
  const findings: HistoryFinding[] = [];
  const find = (key: string, text: string): number => findings.push({ rule: 'alive at the end', key, text, operations: [] });
  for (const key of asked.keys ?? new Set(operations.map((operation) => operation.key))) {
    const own = byKey.get(key) ?? [];
    const at = inARowAt(own, inARow);
    if (at > since + withinMs)
      find(
        key,
        `${inARow} answers in a row ${at === Infinity ? 'never came' : `took ${timeText(at - since)} ms`} after the last fault; calls: ${own.length}`,
      );
  }
  const answeredBy = new Set(after.map(({ outcome, by }) => (outcome === 'ok' ? by : undefined)));
  for (const by of incarnations) if (!answeredBy.has(by)) find('', `${by} answered nothing after the last fault`);
  return findings;
}

/** When so many calls in a row had been answered. */
function inARowAt(operations: readonly Operation[], count: number): number {
  const row: number[] = [];
  for (const { outcome, t1 } of operations.toSorted((a, b) => a.t0 - b.t0)) {
    if (outcome === 'ok') row.push(t1);
    else row.length = 0;
    if (row.length === count) return Math.max(...row);
  }
  return Infinity;
}

/** The longest time in which a key had no answer, though it was called. */
export interface KeyGap {
  readonly key: string;
  readonly gapMs: number;
  readonly from: number;
  readonly to: number;
}

/** For each key, from its first call on (or `from`) until its last outcome (or `to`), the longest gap first. */
export function gapsPerKey(
  operations: readonly Operation[],
  { from, to }: { readonly from?: number; readonly to?: number } = {},
): KeyGap[] {
  const gaps: KeyGap[] = [];
  for (const [key, own] of Map.groupBy(operations, (operation) => operation.key)) {
    const ends = own.filter(({ outcome }) => outcome === 'ok').map(({ t1 }) => t1);
    const first = from ?? own.reduce((least, { t0 }) => Math.min(least, t0), Infinity);
    const last = to ?? own.reduce((most, { t0, t1 }) => Math.max(most, t1 === Infinity ? t0 : t1), -Infinity);
    let before = first;
    let gap: KeyGap = { key, gapMs: 0, from: first, to: first };
    for (const end of [...ends.filter((t1) => t1 > first && t1 < last).sort((a, b) => a - b), last]) {
      if (end - before > gap.gapMs) gap = { key, gapMs: end - before, from: before, to: end };
      before = end;
    }
    gaps.push(gap);
  }
  return gaps.sort((a, b) => b.gapMs - a.gapMs);
}
