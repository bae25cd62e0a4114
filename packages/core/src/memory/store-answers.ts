import type { Clock } from '../base/clock.ts';
import { PerkeyError } from '../base/errors.ts';

/** So many are answered soon in one turn of the event loop: whoever always asks again at once must not keep it from coming round. */
const soonMax = 1_000;

/** How a store of this process answers one node: a turn of the event loop later, or soon, and not at all once the node has closed it. */
export class StoreAnswers {
  readonly #clock: Clock;
  readonly #closing = new Set<() => void>();
  #closed = false;
  /** What was asked in this turn, in its order. */
  #answers: (() => void)[] = [];
  /** What was asked in this step, in its order. */
  #soon: (() => void)[] = [];
  /** How many were answered soon in this turn. */
  #soonCount = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get closed(): boolean {
    return this.#closed;
  }

  later<T>(answer: T): Promise<T> {
    return new Promise((resolve) => this.tell(() => resolve(answer)));
  }

  /** The same by a call. */
  tell(give: () => void): void {
    this.#answers.push(give);
    if (this.#answers.length === 1) this.#clock.defer(() => this.#giveAll());
  }

  /** By a call as well, when the step that asks is over: without a turn of the event loop, but where very many were answered in this one. */
  tellSoon(give: () => void): void {
    if (this.#soonCount >= soonMax) return this.tell(give);
    if (this.#soonCount === 0) this.#clock.defer(() => (this.#soonCount = 0));
    this.#soonCount += 1;
    this.#soon.push(give);
    if (this.#soon.length === 1) queueMicrotask(() => this.#giveSoon());
  }

  /** Runs at once, answers later; rejects with `store.unavailable` after the end. */
  async answer<T>(run: () => T): Promise<T> {
    if (this.#closed) throw new PerkeyError('store.unavailable', 'the store was closed');
    return this.later(run());
  }

  onClose(told: () => void): void {
    this.#closing.add(told);
  }

  offClose(told: () => void): void {
    this.#closing.delete(told);
  }

  /** Resolves when everything under way has been answered. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const told of this.#closing) told();
    await this.later(undefined);
  }

  #giveSoon(): void {
    const answers = this.#soon;
    this.#soon = [];
    for (const give of answers) give();
  }

  #giveAll(): void {
    const answers = this.#answers;
    this.#answers = [];
    for (const give of answers) give();
  }
}
