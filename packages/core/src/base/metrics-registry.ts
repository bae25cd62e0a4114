import type { Counter, Gauge, Histogram, Labels, MetricFamily, Metrics, Series } from './metrics.ts';
import { noMetrics } from './metrics.ts';

export interface MetricsRegistryOptions {
  /** How many label sets the registry holds over all families; a histogram's buckets count as one. Default 2,000. */
  readonly seriesMax?: number;
}

/** Upper bounds in seconds for durations of requests and turns: 50 µs to 10 s. */
export const durationBuckets: readonly number[] = [0.00005, 0.0002, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1, 2.5, 10];

const bucketsMax = 12;
const labelValueCharsMax = 128;
const namePattern = /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/;
const reservedEnding = /_(total|sum|count|bucket|info)$/;
const reservedLabels: ReadonlySet<string> = new Set(['le', 'quantile', 'job', 'instance']);

class CounterSeries implements Counter {
  #value = 0;

  /** Zero, negative amounts and NaN are ignored: a counter never falls. */
  inc(by: number = 1): void {
    if (by > 0) this.#value += by;
  }

  read(labels: Labels): Series | undefined {
    return scalar(labels, this.#value);
  }
}

class GaugeSeries implements Gauge {
  #value = 0;

  set(value: number): void {
    this.#value = value;
  }

  read(labels: Labels): Series | undefined {
    return scalar(labels, this.#value);
  }
}

class ObservedSeries {
  #source: () => number;

  constructor(source: () => number) {
    this.#source = source;
  }

  replace(source: () => number): void {
    this.#source = source;
  }

  read(labels: Labels): Series | undefined {
    try {
      return scalar(labels, this.#source());
    } catch {
      return undefined;
    }
  }
}

class HistogramSeries implements Histogram {
  readonly #bounds: Float64Array;
  readonly #counts: Float64Array;
  #sum = 0;

  constructor(buckets: readonly number[]) {
    this.#bounds = Float64Array.from(buckets);
    this.#counts = new Float64Array(buckets.length + 1);
  }

  /** NaN and infinite values are ignored: one of them would spoil the sum for ever. */
  observe(value: number): void {
    if (!Number.isFinite(value)) return;
    const bounds = this.#bounds;
    let index = 0;
    while (index < bounds.length && value > (bounds[index] as number)) index += 1;
    this.#counts[index] = (this.#counts[index] as number) + 1;
    this.#sum += value;
  }

  read(labels: Labels): Series | undefined {
    return { labels, counts: Array.from(this.#counts), sum: this.#sum };
  }
}

type AnySeries = CounterSeries | GaugeSeries | ObservedSeries | HistogramSeries;

interface Family {
  readonly name: string;
  readonly help: string;
  readonly kind: MetricFamily['kind'];
  readonly buckets: readonly number[] | undefined;
  readonly series: Map<string, { readonly labels: Labels; readonly instrument: AnySeries }>;
}

/**
 * The metrics of one node or client, with a hard limit of series. Above it callers get an instrument that does nothing, and
 * `perkey_metrics_dropped_series` rises. A wrong name, or a name used again with another kind, help or buckets, throws a TypeError.
 */
export class MetricsRegistry implements Metrics {
  readonly #families = new Map<string, Family>();
  readonly #seriesMax: number;
  #seriesCount = 0;
  #dropped = 0;

  constructor(options: MetricsRegistryOptions = {}) {
    this.#seriesMax = options.seriesMax ?? 2000;
    const family = this.#family('perkey_metrics_dropped_series', 'Requests for a new series that the full registry refused.', 'gauge');
    family.series.set('', { labels: {}, instrument: new ObservedSeries(() => this.#dropped) });
  }

  counter(name: string, help: string, labels?: Labels): Counter {
    const instrument = this.#instrument(this.#family(name, help, 'counter'), labels, () => new CounterSeries());
    if (instrument === undefined) return noMetrics.counter(name, help);
    return instrument as CounterSeries;
  }

  gauge(name: string, help: string, labels?: Labels): Gauge {
    const instrument = this.#instrument(this.#family(name, help, 'gauge'), labels, () => new GaugeSeries());
    if (instrument === undefined) return noMetrics.gauge(name, help);
    check(instrument instanceof GaugeSeries, name, 'is already an observed gauge');
    return instrument as GaugeSeries;
  }

  /** A second call with the same name and labels replaces the first one's `read`. A `read` that throws leaves its series out. */
  observedGauge(name: string, help: string, read: () => number, labels?: Labels): void {
    const instrument = this.#instrument(this.#family(name, help, 'gauge'), labels, () => new ObservedSeries(read));
    if (instrument === undefined) return;
    check(instrument instanceof ObservedSeries, name, 'is already a gauge that is set');
    (instrument as ObservedSeries).replace(read);
  }

  histogram(name: string, help: string, buckets: readonly number[], labels?: Labels): Histogram {
    const instrument = this.#instrument(this.#family(name, help, 'histogram', buckets), labels, () => new HistogramSeries(buckets));
    if (instrument === undefined) return noMetrics.histogram(name, help, buckets);
    return instrument as HistogramSeries;
  }

  /** Numbers are finite: a gauge that holds NaN or an infinite value is left out, since JSON has no word for it. */
  snapshot(): readonly MetricFamily[] {
    return Array.from(this.#families.values(), (family) => {
      const series: Series[] = [];
      for (const { labels, instrument } of family.series.values()) {
        const read = instrument.read(labels);
        if (read !== undefined) series.push(read);
      }
      const { name, help, kind, buckets } = family;
      return buckets === undefined ? { name, help, kind, series } : { name, help, kind, buckets, series };
    });
  }

  #family(name: string, help: string, kind: MetricFamily['kind'], buckets?: readonly number[]): Family {
    const known = this.#families.get(name);
    if (known !== undefined) {
      check(known.kind === kind, name, `is already a ${known.kind}`);
      check(known.help === help, name, 'already has another help text');
      check(sameNumbers(known.buckets, buckets), name, 'already has other buckets');
      return known;
    }
    checkFamily(name, help, kind, buckets);
    const family: Family = { name, help, kind, buckets: buckets === undefined ? undefined : [...buckets], series: new Map() };
    this.#families.set(name, family);
    return family;
  }

  #instrument(family: Family, labels: Labels | undefined, create: () => AnySeries): AnySeries | undefined {
    const names = labels === undefined ? [] : Object.keys(labels).sort();
    const own: Record<string, string> = {};
    for (const name of names) own[name] = labels?.[name] as string;
    const id = names.length === 0 ? '' : JSON.stringify(own);
    const known = family.series.get(id);
    if (known !== undefined) return known.instrument;
    if (labels !== undefined) checkLabels(family.name, labels);
    if (this.#seriesCount >= this.#seriesMax) {
      this.#dropped += 1;
      return undefined;
    }
    const instrument = create();
    family.series.set(id, { labels: Object.freeze(own), instrument });
    this.#seriesCount += 1;
    return instrument;
  }
}

function scalar(labels: Labels, value: number): Series | undefined {
  return Number.isFinite(value) ? { labels, value } : undefined;
}

function check(holds: boolean, name: string, fault: string): void {
  if (!holds) throw new TypeError(`metric ${name} ${fault}`);
}

function checkFamily(name: string, help: string, kind: MetricFamily['kind'], buckets: readonly number[] | undefined): void {
  check(namePattern.test(name), name, 'has a malformed name: lower-case words joined by single underscores');
  if (kind === 'counter') check(name.endsWith('_total'), name, 'is a counter, so its name ends in _total');
  else check(!reservedEnding.test(name), name, `is a ${kind}, so its name does not end in _total, _sum, _count, _bucket or _info`);
  check(help.trim() !== '', name, 'has no help text');
  if (buckets === undefined) return;
  check(buckets.length >= 1 && buckets.length <= bucketsMax, name, `has ${buckets.length} buckets, not 1 to ${bucketsMax}`);
  const ascending = buckets.every((bound, index) => Number.isFinite(bound) && (index === 0 || bound > (buckets[index - 1] as number)));
  check(ascending, name, 'has buckets that do not rise or are not finite');
}

function checkLabels(name: string, labels: Labels): void {
  for (const [label, value] of Object.entries(labels)) {
    check(namePattern.test(label) && !reservedLabels.has(label), name, 'has a malformed or reserved label name');
    check(
      typeof value === 'string' && value.length <= labelValueCharsMax,
      name,
      `has a value of label ${label} that is no text of at most ${labelValueCharsMax} characters`,
    );
  }
}

function sameNumbers(left: readonly number[] | undefined, right: readonly number[] | undefined): boolean {
  if (left === undefined || right === undefined) return left === right;
  return left.length === right.length && left.every((value, index) => value === right[index]);
}
