import type { HistoryModel } from './model.ts';
import type { Operation } from './operation.ts';
import { Passages } from './passages.ts';
import { valueText } from './text.ts';

export interface OrderSearchOptions {
  /** How many steps of the model and looks into the memory of states it may take. */
  readonly stepsMax: number;
  /** Whether the operations of one client that have a `seq` must come in its order. */
  readonly inClientOrder: boolean;
}

/** `none`: there is no order. `undecided`: the steps ran out before either was certain. */
export interface OrderSearchResult {
  readonly decision: 'found' | 'none' | 'undecided';
  readonly steps: number;
  /** The farthest that any order got. */
  readonly farthest: Farthest;
}

export interface Farthest {
  /** How many of the answered operations were in order. */
  readonly count: number;
  /** The state there, as a text. */
  readonly state: string;
  /** Everything that had been answered before this had to come next... */
  readonly until: number;
  /** ...beginning with one of these, and none could; or one of these, which come later, still has to find the state. */
  readonly stuck: readonly Operation[];
}

interface Frame<State> {
  readonly state: State;
  /** Indices of operations that may come next: those answered, later also the loose ones. */
  readonly next: number[];
  readonly until: number;
  at: number;
  hasLoose: boolean;
  /** What led here, to be taken back; -1 at the start. */
  readonly taken: number;
  readonly highestBefore: number;
}

/**
 * Looks for one order of the operations of a key that agrees with real time and explains every answer. `answered` must all be in it, each of `loose`
 * (those of unknown outcome) may.
 *
 * A depth-first search that takes, step by step, one operation that no other must precede, and goes back where none fits: J. M. Wing and C. Gong, "Testing and
 * verifying concurrent objects" (1993), with the memory of visited configurations of G. Lowe, "Testing for linearizability" (2017). A
 * configuration is the set of operations taken and the state. A read that fits is taken at once, without a choice. Loose operations are tried last, and of two configurations that differ in their loose operations
 * only, the one that has used more of the same is no better and is passed over.
 */
export class OrderSearch<State> {
  readonly #model: HistoryModel<State>;
  readonly #options: OrderSearchOptions;
  /** The answered ones by their start, then the loose ones by theirs. */
  readonly #operations: readonly Operation[];
  readonly #answeredCount: number;
  /** For a loose operation: its like before it, which is taken first; -1 for none. */
  readonly #alike: readonly number[];
  readonly #clients: readonly number[];
  readonly #passages: Passages<State> | undefined;
  /** By client: the highest `seq` that was taken, and the lowest of those that wait. */
  readonly #highest: number[] = [];
  readonly #foremost = new Map<number, number>();
  /** By client: whether any of its numbered calls is loose. */
  readonly #hasLoose: boolean[] = [];
  readonly #isTaken: Uint8Array;
  readonly #visited = new Map<string, bigint[]>();
  #loose = 0n;
  #low = 0;
  #takenCount = 0;
  #steps = 0;
  #farthest: Farthest;
  #farthestState: State;

  constructor(model: HistoryModel<State>, answered: readonly Operation[], loose: readonly Operation[], options: OrderSearchOptions) {
    const byStart = (a: Operation, b: Operation): number => a.t0 - b.t0;
    this.#model = model;
    this.#options = options;
    this.#operations = [...answered.toSorted(byStart), ...loose.toSorted(byStart)];
    this.#answeredCount = answered.length;
    this.#isTaken = new Uint8Array(this.#operations.length);
    this.#alike = this.#likes();
    this.#clients = this.#numberClients();
    this.#passages = Passages.of(model, this.#operations, answered.length);
    this.#farthestState = model.initial;
    this.#farthest = { count: 0, state: model.textOf(model.initial), until: Infinity, stuck: [] };
  }

  run(): OrderSearchResult {
    const unfindable = this.#passages?.unfindable();
    if (unfindable !== undefined) {
      this.#noteFarthest(this.#model.initial, -Infinity, [unfindable]);
      return this.#result('none');
    }
    const first = this.#arrive(this.#model.initial, -1, -Infinity);
    const frames = first === undefined ? [] : [first];
    while (this.#takenCount < this.#answeredCount) {
      const frame = frames.at(-1);
      if (frame === undefined) return this.#result('none');
      if (this.#steps > this.#options.stepsMax) return this.#result('undecided');
      const child = this.#child(frame);
      if (child === 'exhausted') {
        frames.pop();
        if (frame.taken >= 0) this.#takeBack(frame.taken, frame.highestBefore);
      } else if (child !== undefined) frames.push(child);
    }
    return this.#result('found');
  }

  #result(decision: OrderSearchResult['decision']): OrderSearchResult {
    const { stuck, until } = this.#farthest;
    const finders = decision === 'found' ? [] : (this.#passages?.findersOf(this.#farthestState) ?? []);
    const later = finders.map((i) => this.#operations[i]!).filter(({ t0 }) => t0 > until);
    return { decision, steps: this.#steps, farthest: { ...this.#farthest, stuck: [...stuck, ...later.slice(0, 3)] } };
  }

  /** Tries the next operation of a frame: its frame, or undefined where that leads nowhere. */
  #child(frame: Frame<State>): Frame<State> | 'exhausted' | undefined {
    const index = frame.next[frame.at];
    if (index === undefined) {
      if (frame.hasLoose) return 'exhausted';
      frame.hasLoose = true;
      this.#addLoose(frame);
      return undefined;
    }
    frame.at += 1;
    this.#steps += 1;
    const isLoose = index >= this.#answeredCount;
    const state = this.#model.step(frame.state, this.#operations[index]!);
    if (state === undefined || (isLoose && this.#model.idOf(state) === this.#model.idOf(frame.state))) return undefined;
    const highestBefore = this.#take(index);
    const mayLeave = this.#passages?.mayLeave(frame.state, state) ?? true;
    const child = mayLeave ? this.#arrive(state, index, highestBefore) : undefined;
    if (child === undefined && this.#takenCount < this.#answeredCount) this.#takeBack(index, highestBefore);
    return child;
  }

  /** Undefined where the search has been before, or need not go. */
  #arrive(state: State, taken: number, highestBefore: number): Frame<State> | undefined {
    let until = Infinity;
    let ahead = '';
    const next: number[] = [];
    this.#foremost.clear();
    let end = this.#low;
    for (; end < this.#answeredCount; end += 1) {
      const { t0, t1 } = this.#operations[end]!;
      if (t0 > until) break;
      if (this.#isTaken[end] === 1) ahead += ` ${end}`;
      else {
        if (t1 < until) until = t1;
        next.push(end);
        this.#noteForemost(end);
      }
    }
    this.#steps += (end - this.#low) >> 4;
    if (!this.#isNew(`${this.#low}${ahead}|${this.#model.idOf(state)}`)) return undefined;
    if (this.#takenCount > this.#farthest.count || this.#farthest.until === Infinity) this.#noteFarthest(state, until, next);
    const may = next.filter((i) => this.#operations[i]!.t0 <= until && this.#isInOrder(i) && this.#isForemost(i));
    may.sort((a, b) => this.#operations[a]!.t1 - this.#operations[b]!.t1);
    const free = may.find((i) => this.#isFree(i, state));
    if (free !== undefined) return { state, next: [free], until, at: 0, hasLoose: true, taken, highestBefore };
    return { state, next: may, until, at: 0, hasLoose: false, taken, highestBefore };
  }

  #noteFarthest(state: State, until: number, next: readonly number[]): void {
    const stuck = next.map((i) => this.#operations[i]!);
    this.#farthestState = state;
    this.#farthest = { count: this.#takenCount, state: this.#model.textOf(state), until, stuck };
  }

  /** A read that fits: whatever order there is from here, there is one with it at once. Only a loose call that its client sent before would come too late. */
  #isFree(index: number, state: State): boolean {
    const client = this.#clients[index]!;
    if (client >= 0 && this.#hasLoose[client] === true) return false;
    this.#steps += 1;
    const operation = this.#operations[index]!;
    return this.#model.isRead(operation) && this.#model.step(state, operation) !== undefined;
  }

  #isNew(place: string): boolean {
    const before = this.#visited.get(place);
    if (before === undefined) {
      this.#visited.set(place, [this.#loose]);
      return true;
    }
    this.#steps += before.length;
    if (before.some((loose) => (loose & this.#loose) === loose)) return false;
    before.push(this.#loose);
    return true;
  }

  #addLoose(frame: Frame<State>): void {
    this.#steps += (this.#operations.length - this.#answeredCount) >> 4;
    for (let i = this.#answeredCount; i < this.#operations.length; i += 1) {
      if (this.#operations[i]!.t0 > frame.until) break;
      const alike = this.#alike[i]!;
      if (this.#isTaken[i] === 0 && (alike < 0 || this.#isTaken[alike] === 1) && this.#isInOrder(i)) frame.next.push(i);
    }
  }

  #noteForemost(index: number): void {
    const client = this.#clients[index]!;
    if (client >= 0) this.#foremost.set(client, Math.min(this.#operations[index]!.seq!, this.#foremost.get(client) ?? Infinity));
  }

  #isForemost(index: number): boolean {
    const client = this.#clients[index]!;
    return client < 0 || this.#foremost.get(client) === this.#operations[index]!.seq;
  }

  /** Nothing that its client sent later was taken. */
  #isInOrder(index: number): boolean {
    const client = this.#clients[index]!;
    return client < 0 || this.#highest[client]! <= this.#operations[index]!.seq!;
  }

  /** Returns what the highest number of the client was before. */
  #take(index: number): number {
    this.#isTaken[index] = 1;
    this.#passages?.take(index);
    if (index < this.#answeredCount) {
      this.#takenCount += 1;
      while (this.#low < this.#answeredCount && this.#isTaken[this.#low] === 1) this.#low += 1;
    } else this.#loose |= 1n << BigInt(index - this.#answeredCount);
    const client = this.#clients[index]!;
    if (client < 0) return -Infinity;
    const before = this.#highest[client]!;
    this.#highest[client] = Math.max(before, this.#operations[index]!.seq!);
    return before;
  }

  #takeBack(index: number, highestBefore: number): void {
    this.#isTaken[index] = 0;
    this.#passages?.takeBack(index);
    if (index < this.#answeredCount) {
      this.#takenCount -= 1;
      if (index < this.#low) this.#low = index;
    } else this.#loose ^= 1n << BigInt(index - this.#answeredCount);
    const client = this.#clients[index]!;
    if (client >= 0) this.#highest[client] = highestBefore;
  }

  #likes(): number[] {
    const last = new Map<string, number>();
    return this.#operations.map(({ op, input, seq }, i) => {
      if (i < this.#answeredCount || (seq !== undefined && this.#options.inClientOrder)) return -1;
      const likeness = `${op} ${valueText(input)}`;
      const before = last.get(likeness) ?? -1;
      last.set(likeness, i);
      return before;
    });
  }

  #numberClients(): number[] {
    const numbers = new Map<string, number>();
    return this.#operations.map(({ client, seq }, i) => {
      if (seq === undefined || !this.#options.inClientOrder) return -1;
      let number = numbers.get(client);
      if (number === undefined) {
        number = numbers.size;
        numbers.set(client, number);
        this.#highest.push(-Infinity);
      }
      if (i >= this.#answeredCount) this.#hasLoose[number] = true;
      return number;
    });
  }
}
