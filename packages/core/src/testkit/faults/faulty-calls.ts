import type { Clock } from '../../base/clock.ts';
import { PerkeyError } from '../../base/errors.ts';
import type { CommitFaults } from './commit-faults.ts';

/** How calls reach a store that suffers what its node was told to. */
export class FaultyCalls {
  readonly #faults: CommitFaults;
  readonly #clock: Clock;

  constructor(faults: CommitFaults, clock: Clock) {
    this.#faults = faults;
    this.#clock = clock;
  }

  /** Throws while the store is told to be unavailable. */
  check(): void {
    if (this.#faults.isUnavailable) throw new PerkeyError('store.unavailable', 'the store was told to be unavailable');
  }

  async reach(): Promise<void> {
    await this.before();
    this.check();
  }

  async write<T>(run: () => Promise<T>): Promise<T> {
    await this.reach();
    if (this.#faults.isFull) throw new PerkeyError('store.unavailable', 'the store was told to be full');
    const answer = await run();
    await this.after();
    return answer;
  }

  before(): Promise<void> {
    return this.#pause();
  }

  after(): Promise<void> {
    return this.#pause();
  }

  #pause(): Promise<void> {
    const ms = this.#faults.slowMs / 2;
    if (ms === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#clock.setTimer(ms, resolve);
    });
  }
}
