import type { Pending } from './pending.ts';

const firstDelayMs = 20;
const delayMaxMs = 250;

/**
 * Holds back the calls to one shard while its owner changes, so that calls of this caller to one key keep their order (I6): nothing more is
 * sent to the shard until everything sent to the former owner came back, and then all go out in the order in which they were made.
 */
export class Gate {
  #held = new Set<Pending>();
  #lastSeq = 0;
  #isSorted = true;
  /** A call that was made in a turn was held here. */
  mayHoldMarked = false;
  /** Owners up to this epoch refused; a later one is tried at once. */
  epoch = 0;
  /** From then on even an owner that refused is tried again. By the monotonic clock. */
  retryAt: number;
  /** When it was closed, or its shard last changed hands. */
  since: number;
  /** Its calls are being given out: calls made meanwhile line up behind them. */
  isOpening = false;
  /** Since it began to open, a call came back or the owner changed again. */
  isInterrupted = false;
  /** Nobody listened at the address of the owner, or the connection is new: whether somebody does now is found out with one call alone. */
  isDoubted = false;

  constructor(now: number) {
    this.since = now;
    this.retryAt = now + firstDelayMs;
  }

  get size(): number {
    return this.#held.size;
  }

  /** A call that was not sent yet. */
  hold(pending: Pending): void {
    if (pending.seq < this.#lastSeq) this.#isSorted = false;
    else this.#lastSeq = pending.seq;
    if (pending.madeIn.length > 0) this.mayHoldMarked = true;
    this.#held.add(pending);
  }

  /** A call whose attempt failed at the owner with `refusedEpoch`. */
  holdBack(pending: Pending, refusedEpoch: number, now: number): void {
    this.hold(pending);
    if (refusedEpoch > this.epoch) this.epoch = refusedEpoch;
    const delay = Math.min(delayMaxMs, firstDelayMs * 2 ** Math.min(pending.attempts, 6));
    this.retryAt = Math.max(this.retryAt, now + delay);
    this.isInterrupted = true;
    if (pending.refusal?.code === 'node.unreachable') this.isDoubted = true;
  }

  drop(pending: Pending): void {
    this.#held.delete(pending);
  }

  /** Those held, in the order in which they were made. Calls held while somebody steps through come at the end. */
  inOrder(): Iterable<Pending> {
    if (!this.#isSorted) {
      this.#held = new Set([...this.#held].sort((a, b) => a.seq - b.seq));
      this.#isSorted = true;
    }
    return this.#held;
  }
}
