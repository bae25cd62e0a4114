import type { Clock } from '../base/clock.ts';
import { PerkeyError } from '../base/errors.ts';

/** How a store of this process answers one node: a turn of the event loop later, and not at all once the node has closed it. */
export class StoreAnswers {
  readonly #clock: Clock;
  readonly #closing = new Set<() => void>();
  #closed = false;
  /** What was asked in this turn, in its order. */
  #answers: (() => void)[] = [];

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

  #giveAll(): void {
    const answers = this.#answers;
    this.#answers = [];
    for (const give of answers) give();
  }
}
