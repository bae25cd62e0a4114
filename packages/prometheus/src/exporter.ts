import type { MetricFamily } from '@perkey/core';
import type { Metric } from 'prom-client';
import { Registry, collectDefaultMetrics } from 'prom-client';
import type { DropReason, MergedFamily } from './merge.ts';
import { SnapshotMerge, areLabels } from './merge.ts';
import type { ListenOptions, MetricsServer } from './server.ts';
import { listenForScrapes } from './server.ts';
import type { SourceOutcome } from './source.ts';
import { SourceReader } from './source.ts';

export interface ExporterOptions {
  /** Whether the process metrics of prom-client (CPU, memory, event loop, garbage collection, handles) are exported too. Default true. */
  readonly defaultMetrics?: boolean;
  /** A registry of the application; its metrics are exported beside the sources'. Default: a new one. */
  readonly registry?: Registry;
  /** How long one scrape waits for its sources, 1 to 60,000. Default 2,000. */
  readonly sourceTimeoutMs?: number;
  /** How many series of sources one scrape holds. Default 50,000. */
  readonly seriesMax?: number;
}

/** A snapshot of one node or client, of this process or another: `() => node.metrics.snapshot()`. */
export type MetricSource = () => readonly MetricFamily[] | Promise<readonly MetricFamily[]>;

export interface SourceHandle {
  remove(): void;
}

const optionNames: ReadonlySet<string> = new Set([
  'defaultMetrics',
  'registry',
  'sourceTimeoutMs',
  'seriesMax',
] satisfies (keyof ExporterOptions)[]);

const sourceFailures = 'perkey_exporter_source_failures_total';
const dropped = 'perkey_exporter_dropped_total';

/** Gauges that prom-client names like counters, which linters refuse; each only sums up another one that stays. */
const misnamedDefaults = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'];

/** Gathers snapshots at each scrape and writes them, with the registry's own metrics, in the text format of Prometheus. */
export class PrometheusExporter {
  readonly #registry: Registry;
  readonly #sources = new Set<SourceReader>();
  readonly #sourceTimeoutMs: number;
  readonly #seriesMax: number;
  readonly #failures: Record<'rejected' | 'stalled', number> = { rejected: 0, stalled: 0 };
  readonly #drops: Record<DropReason, number> = { malformed: 0, conflict: 0, duplicate: 0, limit: 0 };

  constructor(options: ExporterOptions = {}) {
    for (const name of Object.keys(options)) if (!optionNames.has(name)) throw new TypeError(`an exporter has no option "${name}"`);
    this.#registry = options.registry ?? new Registry();
    this.#sourceTimeoutMs = bounded('sourceTimeoutMs', options.sourceTimeoutMs ?? 2000, 60_000);
    this.#seriesMax = bounded('seriesMax', options.seriesMax ?? 50_000, 1_000_000);
    if (options.defaultMetrics ?? true) addDefaultMetrics(this.#registry);
  }

  /** The value of the HTTP header `Content-Type` for `text()`. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  /**
   * `labels` are put on every series of the source, over its own labels of the same name; they tell apart sources that share families.
   * A source that throws, rejects or takes longer than `sourceTimeoutMs` is left out of the scrape and counted.
   */
  add(source: MetricSource, labels: Readonly<Record<string, string>> = {}): SourceHandle {
    if (typeof source !== 'function')
      throw new TypeError('a source is a function that gives a snapshot, such as () => node.metrics.snapshot()');
    if (!areLabels(labels)) throw new TypeError('the labels of a source need well-formed names other than le, and texts as values');
    const reader = new SourceReader(source, { ...labels });
    this.#sources.add(reader);
    return { remove: () => void this.#sources.delete(reader) };
  }

  /** One scrape. Settles within `sourceTimeoutMs`, whatever the sources do. */
  async text(): Promise<string> {
    const readers = [...this.#sources];
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<'stalled'>((resolve) => {
      timer = setTimeout(resolve, this.#sourceTimeoutMs, 'stalled');
    });
    const own = Promise.race([this.#registry.metrics().catch(() => 'rejected' as const), deadline]);
    const [registryText, ...outcomes] = await Promise.all([own, ...readers.map((reader) => reader.read(deadline))]);
    clearTimeout(timer);
    const merge = this.#merge(readers, outcomes);
    const registryFailed = registryText === 'rejected' || registryText === 'stalled';
    if (registryFailed) this.#failures[registryText] += 1;
    return this.#write(registryFailed ? '' : registryText, [...merge.families(), ...this.#ownFamilies()]);
  }

  /** Serves `text()` at `GET /metrics`. Rejects with an error that names host and port where it cannot listen there. */
  listen(options: ListenOptions): Promise<MetricsServer> {
    return listenForScrapes({ text: () => this.text(), contentType: () => this.contentType, waitMs: this.#sourceTimeoutMs }, options);
  }

  #merge(readers: readonly SourceReader[], outcomes: readonly SourceOutcome[]): SnapshotMerge {
    const taken = new Set([sourceFailures, dropped, ...this.#registry.getMetricsAsArray().map((metric) => metric.name)]);
    const merge = new SnapshotMerge(taken, this.#seriesMax, (reason) => {
      this.#drops[reason] += 1;
    });
    for (const [index, reader] of readers.entries()) {
      const outcome = outcomes[index] ?? 'rejected';
      if (outcome === 'rejected' || outcome === 'stalled') this.#failures[outcome] += 1;
      else merge.add(outcome, reader.labels);
    }
    return merge;
  }

  #ownFamilies(): readonly MergedFamily[] {
    return [
      counterByReason(sourceFailures, 'Sources that threw, rejected or stalled and were left out of a scrape.', this.#failures),
      counterByReason(dropped, 'Metric families and series of sources that were left out of a scrape.', this.#drops),
    ];
  }

  async #write(registryText: string, families: readonly MergedFamily[]): Promise<string> {
    const scrape = new Registry();
    scrape.setContentType(this.#registry.contentType);
    for (const family of families) scrape.registerMetric(promMetric(family));
    const written = await scrape.metrics();
    const before = registryText.replace(/\n*(# EOF\n)?$/, '');
    return before === '' ? written : `${before}\n${written}`;
  }
}

/** What the process exports: itself, the application's own registry, and each source that is added. */
export function prometheusExporter(options: ExporterOptions = {}): PrometheusExporter {
  return new PrometheusExporter(options);
}

function addDefaultMetrics(registry: Registry): void {
  if (registry.getSingleMetric('process_cpu_seconds_total') !== undefined) return;
  collectDefaultMetrics({ register: registry });
  for (const name of misnamedDefaults) registry.removeSingleMetric(name);
}

/** prom-client asks a registered metric for its data by `get` alone, so data that were counted elsewhere can be written by it. */
function promMetric({ name, help, kind, samples }: MergedFamily): Metric {
  const metric = { name, help, type: kind, aggregator: 'sum', values: samples, get: () => Promise.resolve(metric) };
  return metric as unknown as Metric;
}

function counterByReason(name: string, help: string, counts: Readonly<Record<string, number>>): MergedFamily {
  const samples = Object.entries(counts).map(([reason, value]) => ({ value, labels: {}, sharedLabels: { reason } }));
  return { name, help, kind: 'counter', samples };
}

function bounded(name: string, value: number, max: number): number {
  if (!Number.isInteger(value) || value < 1 || value > max)
    throw new RangeError(`option ${name}: ${value} is not an integer from 1 to ${max}`);
  return value;
}
