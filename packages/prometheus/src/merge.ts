import type { MetricFamily } from '@perkey/core';

type Labels = Readonly<Record<string, string>>;

/** One line of the exposition, as prom-client writes it: `labels` before `sharedLabels`, `metricName` where it is not the family's. */
interface Sample {
  readonly value: number;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly sharedLabels: Labels;
  readonly metricName?: string;
}

export interface MergedFamily {
  readonly name: string;
  readonly help: string;
  readonly kind: MetricFamily['kind'];
  readonly samples: Sample[];
}

/**
 * Why a family or a series was left out: `malformed` data; `conflict` with a family of the same name; `duplicate` labels, which Prometheus
 * would refuse; `limit` of series reached.
 */
export type DropReason = 'malformed' | 'conflict' | 'duplicate' | 'limit';

const namePattern = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const labelPattern = /^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/;

/** Whether these may be labels of a series: well-formed names other than `le`, and texts as values. */
export function areLabels(labels: unknown): labels is Labels {
  if (typeof labels !== 'object' || labels === null || Array.isArray(labels)) return false;
  return Object.entries(labels).every(([name, value]) => labelPattern.test(name) && name !== 'le' && typeof value === 'string');
}

/**
 * Brings snapshots of several sources under one family per name. Snapshots may come from other processes, so nothing in them is trusted:
 * what does not fit is left out and told to `onDropped`, and the rest stands.
 */
export class SnapshotMerge {
  readonly #families = new Map<string, MergedFamily>();
  readonly #seen = new Set<string>();
  readonly #taken: ReadonlySet<string>;
  readonly #seriesMax: number;
  readonly #onDropped: (reason: DropReason) => void;

  constructor(taken: ReadonlySet<string>, seriesMax: number, onDropped: (reason: DropReason) => void) {
    this.#taken = taken;
    this.#seriesMax = seriesMax;
    this.#onDropped = onDropped;
  }

  /** `constant` is added to every series, over a label of the same name. */
  add(snapshot: readonly MetricFamily[], constant: Labels): void {
    if (!Array.isArray(snapshot)) return this.#onDropped('malformed');
    for (const family of snapshot as readonly MetricFamily[]) this.#addFamily(family, constant);
  }

  families(): readonly MergedFamily[] {
    return [...this.#families.values()].filter((family) => family.samples.length > 0);
  }

  #addFamily(family: MetricFamily, constant: Labels): void {
    if (!isFamily(family)) return this.#onDropped('malformed');
    const known = this.#families.get(family.name);
    if (this.#taken.has(family.name) || (known !== undefined && known.kind !== family.kind)) return this.#onDropped('conflict');
    const merged = known ?? { name: family.name, help: family.help, kind: family.kind, samples: [] };
    if (known === undefined) this.#families.set(family.name, merged);
    for (const series of family.series) {
      const samples = isSeries(series) ? samplesOf(family, series, constant) : [];
      const first = samples[0];
      const reason = first === undefined ? 'malformed' : this.#refuse(family.name, first);
      if (reason === undefined) merged.samples.push(...samples);
      else this.#onDropped(reason);
    }
  }

  #refuse(name: string, first: Sample): DropReason | undefined {
    const sorted = Object.entries(first.sharedLabels).sort(([left], [right]) => (left < right ? -1 : 1));
    const id = JSON.stringify([name, sorted]);
    if (this.#seen.has(id)) return 'duplicate';
    if (this.#seen.size >= this.#seriesMax) return 'limit';
    this.#seen.add(id);
    return undefined;
  }
}

function isFamily(family: unknown): family is MetricFamily {
  if (typeof family !== 'object' || family === null) return false;
  const { name, help, kind, buckets, series } = family as Partial<Record<keyof MetricFamily, unknown>>;
  if (typeof name !== 'string' || !namePattern.test(name) || typeof help !== 'string' || !Array.isArray(series)) return false;
  if (kind === 'histogram') return Array.isArray(buckets) && buckets.every(isRising);
  return kind === 'counter' || kind === 'gauge';
}

function isRising(bound: unknown, index: number, bounds: readonly unknown[]): boolean {
  return typeof bound === 'number' && Number.isFinite(bound) && (index === 0 || bound > (bounds[index - 1] as number));
}

/** A series before its numbers were looked at. */
interface LooseSeries {
  readonly labels: Labels;
  readonly value?: unknown;
  readonly counts?: unknown;
  readonly sum?: unknown;
}

function isSeries(series: unknown): series is LooseSeries {
  return typeof series === 'object' && series !== null && areLabels((series as { readonly labels?: unknown }).labels);
}

/** The lines of one series; none where its numbers do not fit the family. */
function samplesOf(family: MetricFamily, series: LooseSeries, constant: Labels): readonly Sample[] {
  const sharedLabels: Record<string, string> = {};
  for (const [name, value] of Object.entries({ ...series.labels, ...constant })) sharedLabels[name] = value.toWellFormed();
  if (family.kind !== 'histogram') return typeof series.value === 'number' ? [{ value: series.value, labels: {}, sharedLabels }] : [];
  const { counts, sum } = series;
  const bounds = family.buckets ?? [];
  if (!Array.isArray(counts) || counts.length !== bounds.length + 1 || !counts.every(isCount) || typeof sum !== 'number') return [];
  const samples: Sample[] = [];
  let below = 0;
  for (const [index, count] of counts.entries()) {
    below += count;
    samples.push({ value: below, labels: { le: bounds[index] ?? '+Inf' }, sharedLabels, metricName: `${family.name}_bucket` });
  }
  samples.push({ value: sum, labels: {}, sharedLabels, metricName: `${family.name}_sum` });
  samples.push({ value: below, labels: {}, sharedLabels, metricName: `${family.name}_count` });
  return samples;
}

function isCount(count: unknown): count is number {
  return typeof count === 'number' && count >= 0;
}
