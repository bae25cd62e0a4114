import { systemClock } from '../../base/clock.ts';
import type { Clock } from '../../base/clock.ts';

const limitMs = 10_000;

interface Waiter<T> {
  readonly isDone: (items: readonly T[]) => boolean;
  readonly done: () => void;
}

/** Collects what callbacks deliver, and lets a test wait for it without sleeping. */
export class Arrivals<T> {
  readonly items: T[] = [];
  readonly #clock: Clock;
  readonly #waiters = new Set<Waiter<T>>();

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  push(item: T): void {
    this.items.push(item);
    for (const waiter of this.#waiters) {
      if (waiter.isDone(this.items)) waiter.done();
    }
  }

  /** Everything so far, which then counts as never arrived. */
  takeAll(): readonly T[] {
    return this.items.splice(0);
  }

  count(count: number): Promise<void> {
    return this.until((items) => items.length >= count, `${count} arrivals`);
  }

  /** Rejects, saying what came instead, when it does not happen within 10 s. */
  until(isDone: (items: readonly T[]) => boolean, what: string): Promise<void> {
    if (isDone(this.items)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const timer = this.#clock.setTimer(limitMs, () => {
        this.#waiters.delete(waiter);
        const last = JSON.stringify(this.items.slice(-3));
        reject(new Error(`waited ${limitMs} ms in vain for ${what}; ${this.items.length} arrived, the last: ${last}`));
      });
      const waiter: Waiter<T> = {
        isDone,
        done: () => {
          this.#waiters.delete(waiter);
          timer.cancel();
          resolve();
        },
      };
      this.#waiters.add(waiter);
    });
  }
}
