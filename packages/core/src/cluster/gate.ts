import type { Pending } from './pending.ts';

const firstDelayMs = 20;
const delayMaxMs = 500;

/**
 * Holds back the calls to one shard while its owner changes, so that calls of this caller to one key keep their order (I6): nothing more is
 * sent to the shard until everything sent to the former owner came back, and then all go out in the order in which they were made.
 */
export class Gate {
  readonly #held: Pending[] = [];
  /** Owners up to this epoch refused; a later one is tried at once. */
  epoch = 0;
  /** From then on even an owner that refused is tried again. By the monotonic clock. */
  retryAt: number;

  constructor(now: number) {
    this.retryAt = now + firstDelayMs;
  }

  get size(): number {
    return this.#held.length;
  }

  hold(pending: Pending, refusedEpoch: number, now: number): void {
    this.#held.push(pending);
    if (refusedEpoch > this.epoch) this.epoch = refusedEpoch;
    const delay = Math.min(delayMaxMs, firstDelayMs * 2 ** Math.min(pending.attempts, 6));
    if (pending.attempts > 0) this.retryAt = Math.max(this.retryAt, now + delay);
  }

  /** Everything held, in the order of the calls; the gate is empty afterwards. */
  open(): Pending[] {
    return this.#held.splice(0).sort((a, b) => a.seq - b.seq);
  }

  [Symbol.iterator](): IterableIterator<Pending> {
    return this.#held.values();
  }

  /** Takes out the calls that are settled already and says how many they were. */
  prune(): number {
    const before = this.#held.length;
    const alive = this.#held.filter((pending) => !pending.settled);
    this.#held.length = 0;
    for (const pending of alive) this.#held.push(pending);
    return before - alive.length;
  }
}
