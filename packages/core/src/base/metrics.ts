/** Label names and values. Values come from closed sets only: never a key, an id or text from a request. */
export type Labels = Readonly<Record<string, string>>;

export interface Counter {
  inc(by?: number): void;
}

export interface Gauge {
  set(value: number): void;
}

export interface Histogram {
  observe(value: number): void;
}

/** One series of a family, as a snapshot. */
export type Series =
  | { readonly labels: Labels; readonly value: number }
  | {
      readonly labels: Labels;
      /** Observations per bucket, not cumulative; one more than `buckets`, the last one for what is above all of them. */
      readonly counts: readonly number[];
      readonly sum: number;
    };

export interface MetricFamily {
  readonly name: string;
  readonly help: string;
  readonly kind: 'counter' | 'gauge' | 'histogram';
  /** Upper bounds, ascending; only for histograms. */
  readonly buckets?: readonly number[];
  readonly series: readonly Series[];
}

/**
 * Where the runtime counts. Asking twice for the same name and labels gives the same instrument, so the hot path asks once and keeps it.
 * Updating an instrument allocates nothing.
 */
export interface Metrics {
  counter(name: string, help: string, labels?: Labels): Counter;
  gauge(name: string, help: string, labels?: Labels): Gauge;
  /** A gauge whose value is read when a snapshot is taken. */
  observedGauge(name: string, help: string, read: () => number, labels?: Labels): void;
  histogram(name: string, help: string, buckets: readonly number[], labels?: Labels): Histogram;
  /** Plain data; may be sent to another process. */
  snapshot(): readonly MetricFamily[];
}

const ignored: Counter & Gauge & Histogram = Object.freeze({ inc: () => {}, set: () => {}, observe: () => {} });

/** Metrics that nobody reads: its instruments do nothing, its snapshot is empty. */
export const noMetrics: Metrics = Object.freeze({
  counter: () => ignored,
  gauge: () => ignored,
  observedGauge: () => {},
  histogram: () => ignored,
  snapshot: () => [],
});
