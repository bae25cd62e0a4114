import { type HistoryModel, relevantOf } from './model.ts';
import type { Operation } from './operation.ts';
import { type Farthest, OrderSearch } from './order-search.ts';

/**
 * The fewest answers found that no order explains. An answer is left out by no longer asking for it: its operation may then have been executed or not, with any
 * result. So what stays is a contradiction by itself, whatever happened to all others. At most `stepsMax` steps in all, after which it is as small as it is;
 * undefined if they were too few to find any.
 */
export function leastContradiction<State>(
  model: HistoryModel<State>,
  answered: readonly Operation[],
  loose: readonly Operation[],
  { farthest, stepsMax }: { readonly farthest: Farthest; readonly stepsMax: number },
): readonly Operation[] | undefined {
  const trial = new Trial(model, answered, loose, stepsMax);
  let kept = lastOnes(answered, farthest).find((operations) => trial.isImpossible(operations));
  if (kept === undefined) return undefined;
  for (let size = kept.length >> 1; size >= 1; size >>= 1) kept = withoutParts(kept, size, trial);
  return kept.toSorted((a, b) => a.t0 - b.t0);
}

/** Those at which the search was stuck, and with them more and more of what had ended before. */
function lastOnes(answered: readonly Operation[], { stuck, until }: Farthest): (readonly Operation[])[] {
  const isStuck = new Set(stuck);
  const before = answered.filter((operation) => operation.t1 <= until && !isStuck.has(operation)).sort((a, b) => b.t1 - a.t1);
  const sets: (readonly Operation[])[] = [];
  for (let count = 0; ; count = Math.max(4, count * 2)) {
    sets.push([...stuck, ...before.slice(0, count)]);
    if (count >= before.length) return sets;
  }
}

function withoutParts<State>(operations: readonly Operation[], size: number, trial: Trial<State>): readonly Operation[] {
  let kept = operations;
  let at = 0;
  while (at < kept.length) {
    const fewer = kept.toSpliced(at, size);
    if (trial.isImpossible(fewer)) kept = fewer;
    else at += size;
  }
  return kept;
}

class Trial<State> {
  readonly #model: HistoryModel<State>;
  readonly #answered: readonly Operation[];
  readonly #loose: readonly Operation[];
  readonly #stepsEach: number;
  #stepsLeft: number;

  constructor(model: HistoryModel<State>, answered: readonly Operation[], loose: readonly Operation[], stepsMax: number) {
    this.#model = model;
    this.#answered = answered;
    this.#loose = loose;
    this.#stepsEach = 2_000 + 20 * answered.length;
    this.#stepsLeft = stepsMax;
  }

  /** Whether it is certain that no order explains these answers. */
  isImpossible(kept: readonly Operation[]): boolean {
    if (kept.length === 0 || this.#stepsLeft <= 0) return false;
    const asked = new Set(kept);
    const end = kept.reduce((latest, { t1 }) => Math.max(latest, t1), -Infinity);
    const others = this.#answered.filter((operation) => !asked.has(operation) && operation.t0 <= end && !this.#model.isRead(operation));
    const unasked = others.map((operation): Operation => ({ ...operation, outcome: 'unknown', t1: Infinity }));
    const { difference: maybe } = relevantOf(this.#model, [...this.#loose, ...unasked], kept);
    const options = { stepsMax: Math.min(this.#stepsEach, this.#stepsLeft), inClientOrder: true };
    const { decision, steps } = new OrderSearch(this.#model, kept, maybe, options).run();
    this.#stepsLeft -= steps + this.#answered.length;
    return decision === 'none';
  }
}
