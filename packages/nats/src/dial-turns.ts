import type { Clock, Random, Timer } from '@perkey/core';

/** Between two attempts. A server that is away refuses them at once; what counts is how soon one is made after it is back. */
const stepMs = { least: 100, most: 150 };

/**
 * When the connections of one transport dial again. They take turns, so that all of them together make at most ten attempts a second, beside the first
 * of each after a loss; when one of them gets through, the others need not wait.
 */
export class DialTurns {
  /** What each that waits for its turn does when another connection gets through. */
  readonly #waiting = new Set<() => void>();
  #lastAt = -Infinity;

  /** Calls `go` once: when its turn has come or, where `isEager`, somebody got through. Cancelling the returned timer takes it back. */
  wait({ clock, random }: { readonly clock: Clock; readonly random: Random }, isEager: boolean, go: () => void): Timer {
    const now = clock.now();
    const step = stepMs.least + random.next() * (stepMs.most - stepMs.least);
    // Not later than where all others that wait take as long as they may: some may have taken their turn back.
    const last = Math.min(this.#lastAt, now + this.#waiting.size * stepMs.most);
    this.#lastAt = Math.max(now, last) + step;
    const goOnce = (): void => {
      cancel();
      go();
    };
    const onThrough = isEager ? goOnce : (): void => {};
    const timer = clock.setTimer(this.#lastAt - now, goOnce);
    const cancel = (): void => {
      timer.cancel();
      this.#waiting.delete(onThrough);
    };
    this.#waiting.add(onThrough);
    return { cancel };
  }

  /** NATS can be reached. */
  go(): void {
    this.#lastAt = -Infinity;
    for (const goOn of [...this.#waiting]) goOn();
  }
}
