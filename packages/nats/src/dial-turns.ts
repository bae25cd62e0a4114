import type { Clock, Random, Timer } from '@perkey/core';

/** Between two attempts. Attempts to servers that are away cost next to nothing; what counts is how soon one is made after they are back. */
const stepMs = { least: 100, most: 150 };

/**
 * When the connections of one transport dial again. They take turns, so that all of them together make at most ten attempts a second; when one of
 * them gets through, the others need not wait.
 */
export class DialTurns {
  readonly #waiting = new Set<() => void>();
  #lastAt = -Infinity;

  /** Calls `go` once: when its turn has come or, where `isEager`, somebody got through. Cancelling the returned timer takes it back. */
  wait({ clock, random }: { readonly clock: Clock; readonly random: Random }, isEager: boolean, go: () => void): Timer {
    const now = clock.now();
    const step = stepMs.least + random.next() * (stepMs.most - stepMs.least);
    this.#lastAt = Math.max(now, this.#lastAt) + step;
    const goOnce = (): void => {
      cancel();
      go();
    };
    const timer = clock.setTimer(this.#lastAt - now, goOnce);
    const cancel = (): void => {
      timer.cancel();
      this.#waiting.delete(goOnce);
    };
    if (isEager) this.#waiting.add(goOnce);
    return { cancel };
  }

  /** NATS can be reached. */
  go(): void {
    this.#lastAt = -Infinity;
    for (const go of [...this.#waiting]) go();
  }
}
