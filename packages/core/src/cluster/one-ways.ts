import type { Clock } from '../base/clock.ts';
import type { PerkeyError } from '../base/errors.ts';
import type { Counter } from '../base/metrics.ts';
import { doneWithin } from '../base/pause.ts';

/** The one-way messages of a caller that are under way. Nobody awaits one; only who closes awaits them all. */
export class OneWays {
  readonly #lost: Counter;
  #underWay = 0;
  #ended: PromiseWithResolvers<void> | undefined;

  constructor(lost: Counter) {
    this.#lost = lost;
  }

  /** Counts what `take` begins; a message that it throws for was never under way. */
  begin(take: () => void): void {
    this.#underWay += 1;
    try {
      take();
    } catch (error) {
      this.done();
      throw error;
    }
  }

  readonly done = (): void => {
    this.#underWay -= 1;
    if (this.#underWay === 0) this.#ended?.resolve();
  };

  readonly failed = (error: PerkeyError): void => {
    if (error.executed === 'no') this.#lost.inc();
    this.done();
  };

  /** Resolves when none is under way, or after `ms`; at once where `ms` is not above 0. */
  async ended(clock: Clock, ms: number): Promise<void> {
    if (this.#underWay === 0 || ms <= 0) return;
    this.#ended ??= Promise.withResolvers();
    await doneWithin(clock, ms, this.#ended.promise);
  }
}
