import type { Metrics } from '@perkey/core';
import { monitorEventLoopDelay } from 'node:perf_hooks';

const resolutionMs = 20;
const windowMs = 1_000;

/** The delay of this process's event loop, for all nodes of the process. */
export class EventLoop implements Disposable {
  readonly #histogram = monitorEventLoopDelay({ resolution: resolutionMs });
  #takenAt = performance.now();
  #longest = 0;

  constructor() {
    this.#histogram.enable();
  }

  observe(metrics: Metrics): void {
    const help = 'Longest delay of the event loop of this node between two scrapes.';
    metrics.observedGauge('perkey_cluster_event_loop_lag_seconds', help, () => this.#read());
  }

  [Symbol.dispose](): void {
    this.#histogram.disable();
  }

  /** Nodes of one process are read in the same scrape, and so get the same value. */
  #read(): number {
    const now = performance.now();
    if (now - this.#takenAt < windowMs) return this.#longest;
    this.#longest = Math.max(0, this.#histogram.max / 1e9 - resolutionMs / 1e3);
    this.#takenAt = now;
    this.#histogram.reset();
    return this.#longest;
  }
}
