import type { Clock } from '@perkey/core';

/** For so long what arrived is handled in one turn of the event loop. */
const turnMs = 4;

/** What is read from; nothing more comes from it while it is paused but what was read already. */
export interface Pausable {
  pause(): unknown;
  resume(): unknown;
}

interface Arrival<T> {
  readonly handle: (message: T) => void;
  readonly message: T;
}

/**
 * Lets what arrives in a flood not hold the event loop: after some time of handling in one turn the rest waits, in the order of its arrival,
 * and the socket is not read meanwhile. So no more waits here than was read at once.
 */
export class ReadingPace<T> {
  readonly #clock: Clock;
  readonly #source: Pausable;
  readonly #idle: (() => void)[] = [];
  #waiting: Arrival<T>[] = [];
  #inTurn = false;
  #turnEnd = 0;

  constructor(clock: Clock, source: Pausable) {
    this.#clock = clock;
    this.#source = source;
  }

  take(handle: (message: T) => void, message: T): void {
    if (this.#waiting.length === 0 && this.#mayHandle()) {
      handle(message);
      return;
    }
    if (this.#waiting.length === 0) this.#source.pause();
    this.#waiting.push({ handle, message });
  }

  /** Resolves when nothing waits. */
  idle(): Promise<void> {
    return this.#waiting.length === 0 ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Forgets what waits. */
  drop(): void {
    this.#waiting = [];
    this.#rest();
  }

  #mayHandle(): boolean {
    const now = this.#clock.now();
    if (!this.#inTurn) this.#begin(now);
    return now < this.#turnEnd;
  }

  #begin(now: number): void {
    this.#inTurn = true;
    this.#turnEnd = now + turnMs;
    this.#clock.defer(() => {
      this.#inTurn = false;
      if (this.#waiting.length > 0) this.#goOn();
    });
  }

  /** The first one always has its turn, so that what waits becomes less, however slow the clock or the handlers are. */
  #goOn(): void {
    const waiting = this.#waiting;
    this.#begin(this.#clock.now());
    let done = 0;
    do {
      const { handle, message } = waiting[done] as Arrival<T>;
      done += 1;
      handle(message);
      // A handler dropped them.
      if (this.#waiting !== waiting) return;
    } while (done < waiting.length && this.#clock.now() < this.#turnEnd);
    waiting.splice(0, done);
    if (waiting.length === 0) this.#rest();
  }

  #rest(): void {
    this.#source.resume();
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}
