import type { HistoryModel } from './model.ts';
import type { Operation } from './operation.ts';

/** Counts, for each state, who still has to find it and what can still make it. */
export class Passages<State> {
  readonly #model: HistoryModel<State>;
  readonly #finds: readonly (string | undefined)[];
  readonly #makes: readonly (string | undefined)[];
  readonly #finding = new Map<string, number>();
  readonly #making = new Map<string, number>();

  /** Undefined for a model that does not tell. The first `answeredCount` operations were answered. */
  static of<State>(model: HistoryModel<State>, operations: readonly Operation[], answeredCount: number): Passages<State> | undefined {
    return model.passage === undefined ? undefined : new Passages(model, operations, answeredCount);
  }

  private constructor(model: HistoryModel<State>, operations: readonly Operation[], answeredCount: number) {
    this.#model = model;
    const told = operations.map((operation) => model.passage?.(operation) ?? {});
    this.#finds = told.map(({ finds }, i) => (i < answeredCount ? finds : undefined));
    this.#makes = told.map(({ makes }) => makes);
    for (const i of operations.keys()) this.#count(i, 1);
  }

  /** An operation that has to find what neither is there at first nor can be made. */
  unfindable(): number | undefined {
    const initial = String(this.#model.idOf(this.#model.initial));
    const index = this.#finds.findIndex((id) => id !== undefined && id !== initial && !this.#making.has(id));
    return index === -1 ? undefined : index;
  }

  /** Those that have to find this state. */
  findersOf(state: State): number[] {
    const id = String(this.#model.idOf(state));
    return [...this.#finds.keys()].filter((index) => this.#finds[index] === id);
  }

  take(index: number): void {
    this.#count(index, -1);
  }

  takeBack(index: number): void {
    this.#count(index, 1);
  }

  /** Whether the state may be left for the other one, by an operation that was taken already. */
  mayLeave(state: State, next: State): boolean {
    const id = String(this.#model.idOf(state));
    return this.#finding.get(id) === undefined || this.#making.get(id) !== undefined || this.#model.idOf(next) === this.#model.idOf(state);
  }

  #count(index: number, by: number): void {
    add(this.#finding, this.#finds[index], by);
    add(this.#making, this.#makes[index], by);
  }
}

/** A count of nothing is not kept. */
function add(counts: Map<string, number>, id: string | undefined, by: number): void {
  if (id === undefined) return;
  const count = (counts.get(id) ?? 0) + by;
  if (count === 0) counts.delete(id);
  else counts.set(id, count);
}
