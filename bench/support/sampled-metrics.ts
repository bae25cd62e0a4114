import { type Histogram, type Metrics, MetricsRegistry } from '@perkey/core';

/** Metrics as a node has them, which also keep every observation of one histogram. */
export class SampledMetrics implements Metrics {
  readonly #registry = new MetricsRegistry();
  readonly #name: string;
  #samples: number[] = [];

  constructor(name: string) {
    this.#name = name;
  }

  /** What was observed since the last time, in the unit of the histogram. */
  take(): readonly number[] {
    return this.#samples.splice(0);
  }

  counter: Metrics['counter'] = (name, help, labels) => this.#registry.counter(name, help, labels);
  gauge: Metrics['gauge'] = (name, help, labels) => this.#registry.gauge(name, help, labels);
  observedGauge: Metrics['observedGauge'] = (name, help, read, labels) => this.#registry.observedGauge(name, help, read, labels);
  snapshot: Metrics['snapshot'] = () => this.#registry.snapshot();

  histogram: Metrics['histogram'] = (name, help, buckets, labels) => {
    const histogram = this.#registry.histogram(name, help, buckets, labels);
    return name === this.#name ? this.#sampled(histogram) : histogram;
  };

  #sampled(histogram: Histogram): Histogram {
    return {
      observe: (value) => {
        this.#samples.push(value);
        histogram.observe(value);
      },
    };
  }
}
