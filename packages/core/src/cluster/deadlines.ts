import type { Clock, Timer } from '../base/clock.ts';

/** What is left of a look must be worth a timer: expired calls end at most this much late. */
const slackMs = 5;
/** Timers have a largest delay, beyond which they fire at once. */
const timerMaxMs = 60_000;

/**
 * One timer for any number of deadlines: it is set for the earliest one that was asked for. Most calls have ended long before, so
 * that a call costs a comparison and no timer.
 */
export class Deadlines {
  readonly #clock: Clock;
  readonly #look: (now: number) => number;
  #earliest = Number.POSITIVE_INFINITY;
  #timer: Timer | undefined;
  readonly #onTimer = (): void => this.#fire();

  /** `look` ends everything whose deadline has passed and gives the earliest deadline that is left (`Infinity`: none). */
  constructor(clock: Clock, look: (now: number) => number) {
    this.#clock = clock;
    this.#look = look;
  }

  watch(deadline: number): void {
    if (!(deadline < this.#earliest)) return;
    this.#earliest = deadline;
    this.#timer?.cancel();
    const delay = Math.min(timerMaxMs, Math.max(1, Math.ceil(deadline - this.#clock.now())));
    this.#timer = this.#clock.setTimer(delay, this.#onTimer);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#earliest = Number.NEGATIVE_INFINITY;
  }

  #fire(): void {
    this.#earliest = Number.POSITIVE_INFINITY;
    const next = this.#look(this.#clock.now());
    if (next < Number.POSITIVE_INFINITY) this.watch(next + slackMs);
  }
}
