import type { Clock } from '../base/clock.ts';
import type { Alarm } from './alarm.ts';

export interface PaceOptions {
  readonly clock: Clock;
  /** Rings when more may begin. */
  readonly alarm: Alarm;
  readonly stepMs: number;
  /** About so long it takes one node until all shards of a cluster have had their turn; less where there are few. */
  readonly spreadMs: number;
  /** How many shards there are. */
  readonly shards: () => number;
}

/**
 * Work that is not urgent to the millisecond begins little by little: at most a fixed part of all shards in each step, so that calls to other shards
 * need not wait behind the whole of it. It only delays: who is told no looks again when the alarm rings.
 */
export class Pace {
  readonly #o: PaceOptions;
  #stepEndsAt = -Infinity;
  #left = 0;

  constructor(options: PaceOptions) {
    this.#o = options;
  }

  /** Whether one more may begin now, which counts as begun. */
  begins(): boolean {
    const { clock, alarm, stepMs, spreadMs, shards } = this.#o;
    const now = clock.now();
    if (now >= this.#stepEndsAt) {
      this.#stepEndsAt = now + stepMs;
      this.#left = Math.ceil((shards() * stepMs) / spreadMs);
    }
    if (this.#left > 0) {
      this.#left -= 1;
      return true;
    }
    alarm.at(this.#stepEndsAt);
    return false;
  }
}
