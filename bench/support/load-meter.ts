import { setTimeout as delay } from 'node:timers/promises';
import { percentile, round } from './numbers.ts';

export interface LoadResult {
  readonly rps: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
}

const samplesMax = 2 ** 20;
/** A clock read costs about as much as a tenth of a batched request: above this many in flight only some of them are timed. */
const timeAllBelow = 16;
const timeOneOf = 8;

/** Counts and times what a closed loop completes. The loop asks `open` before each request, and ends when it is false. */
export class LoadMeter {
  open = false;
  readonly #samples = new Float64Array(samplesMax);
  readonly #oneOf: number;
  #sampled = 0;
  #done = 0;
  #asked = 0;

  constructor(inflight: number) {
    this.#oneOf = inflight < timeAllBelow ? 1 : timeOneOf;
  }

  /** Whether the next request is to be timed. */
  get timesNext(): boolean {
    this.#asked += 1;
    return this.#asked % this.#oneOf === 0;
  }

  count(): void {
    this.#done += 1;
  }

  sample(ms: number): void {
    if (this.#sampled < samplesMax) this.#samples[this.#sampled++] = ms;
  }

  /** Runs `start` with the loop open, lets it settle, and counts for `ms`. What was asked is answered when it resolves. */
  async measure(ms: number, start: () => Promise<unknown>): Promise<LoadResult> {
    this.open = true;
    const ended = start();
    await delay(ms / 5);
    this.#done = 0;
    this.#sampled = 0;
    const startedAt = performance.now();
    await delay(ms);
    const elapsed = performance.now() - startedAt;
    const done = this.#done;
    const sorted = this.#samples.slice(0, this.#sampled).sort();
    this.open = false;
    await ended;
    return {
      rps: Math.round((done * 1_000) / elapsed),
      p50_ms: round(percentile(sorted, 50), 4),
      p99_ms: round(percentile(sorted, 99), 4),
    };
  }
}
