import type { Clock, Timer } from '../base/clock.ts';

/** One timer for any number of wishes: it rings at the earliest time that was asked for, and forgets the others. */
export class Alarm {
  readonly #clock: Clock;
  readonly #ring: () => void;
  #set: { readonly at: number; readonly timer: Timer } | undefined;

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  at(time: number): void {
    if (this.#set && this.#set.at <= time) return;
    this.cancel();
    const timer = this.#clock.setTimer(time - this.#clock.now(), () => {
      this.#set = undefined;
      this.#ring();
    });
    this.#set = { at: time, timer };
  }

  cancel(): void {
    this.#set?.timer.cancel();
    this.#set = undefined;
  }
}
