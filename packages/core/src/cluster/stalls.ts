import type { Clock, Timer } from '../base/clock.ts';

const lookEveryMs = 50;
/** A look that comes later than this by more than a busy event loop explains: the process stood still. */
const stallLeastMs = 100;
/** For so long after a stall what is read may have waited through it. */
const afterwardsMs = 50;

/**
 * Notices when this process stood still (SIGSTOP, a paused machine, a blocked event loop), since what arrived meanwhile was read late, and
 * its senders' deadlines went on (I8).
 */
export class Stalls {
  readonly #clock: Clock;
  #timer: Timer | undefined;
  #lookedAt: number;
  #lastedMs = 0;
  #endedAt = Number.NEGATIVE_INFINITY;
  readonly #look = (): void => {
    const now = this.#clock.now();
    const overdue = now - this.#lookedAt - lookEveryMs;
    if (overdue > stallLeastMs) {
      this.#lastedMs = overdue;
      this.#endedAt = now;
    }
    this.#lookedAt = now;
    this.#watch();
  };

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#lookedAt = clock.now();
    this.#watch();
  }

  /** How late a frame that is read at `now` may be, at most, beyond its time on the way. */
  lateMs(now: number): number {
    const overdue = now - this.#lookedAt - lookEveryMs;
    if (overdue > stallLeastMs) return overdue;
    return now - this.#endedAt < afterwardsMs ? this.#lastedMs : 0;
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #watch(): void {
    this.#timer = this.#clock.setTimer(lookEveryMs, this.#look);
  }
}
