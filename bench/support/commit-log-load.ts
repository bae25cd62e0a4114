import type { CommitLog } from '@perkey/core';
import { LoadMeter, type LoadResult } from './load-meter.ts';

/** Writers, each on a stream of its own and with one append at a time. They go on where the former load of the same name ended. */
export class CommitLogLoad {
  readonly #log: CommitLog;
  readonly #name: string;
  readonly #body: Uint8Array;
  readonly #heads: number[] = [];

  constructor(log: CommitLog, name: string, body: Uint8Array) {
    this.#log = log;
    this.#name = name;
    this.#body = body;
  }

  async run(writers: number, ms: number): Promise<LoadResult> {
    const meter = new LoadMeter(writers);
    return meter.measure(ms, () => Promise.all(Array.from({ length: writers }, (_, writer) => this.#write(writer, meter))));
  }

  async #write(writer: number, meter: LoadMeter): Promise<void> {
    const stream = { type: 'Account', key: `${this.#name}-${writer}` };
    while (meter.open) {
      const startedAt = meter.timesNext ? performance.now() : undefined;
      const expectedSequence = this.#heads[writer] ?? 0;
      const outcome = await this.#log.append({ stream, shard: writer % 64, expectedSequence, epoch: 1, body: this.#body });
      if (outcome.kind !== 'appended') throw new Error(`an append was ${JSON.stringify(outcome)}`);
      this.#heads[writer] = outcome.sequence;
      meter.count();
      if (startedAt !== undefined) meter.sample(performance.now() - startedAt);
    }
  }
}
