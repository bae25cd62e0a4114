import type { Client } from '@perkey/core';
import { Counter, counterKeys } from './counter.ts';
import type { Load } from './floor-loads.ts';
import { LoadMeter, type LoadResult } from './load-meter.ts';

/** What a user writes: a handle for the key, one of its methods, and `await`. */
export class ProductLoad implements Load {
  readonly #caller: Pick<Client, 'actor'>;
  #next = 0;

  constructor(caller: Pick<Client, 'actor'>) {
    this.#caller = caller;
  }

  run(inflight: number, ms: number): Promise<LoadResult> {
    const meter = new LoadMeter(inflight);
    return meter.measure(ms, () => Promise.all(Array.from({ length: inflight }, () => this.#work(meter))));
  }

  async #work(meter: LoadMeter): Promise<void> {
    const caller = this.#caller;
    while (meter.open) {
      this.#next = (this.#next + 1) % counterKeys.length;
      const key = counterKeys[this.#next] as string;
      const startedAt = meter.timesNext ? performance.now() : -1;
      await caller.actor(Counter, key).increment({ amount: 1 });
      if (startedAt >= 0) meter.sample(performance.now() - startedAt);
      meter.count();
    }
  }
}
