import type { Counter, Histogram, Metrics } from '../base/metrics.ts';
import { durationBuckets } from '../base/metrics-registry.ts';

/** The instruments of one durable actor type. */
export class DurableMetrics {
  readonly commitSeconds: Histogram;
  readonly loadSeconds: Histogram;
  readonly replayed: Counter;
  readonly conflicts: Counter;
  readonly reruns: Counter;
  readonly fences: Counter;
  readonly fenceRejections: Counter;
  readonly unknown: Counter;
  readonly loadFailures: Counter;

  constructor(metrics: Metrics, type: string) {
    const counter = (name: string, help: string): Counter => metrics.counter(`perkey_durable_${name}_total`, help, { type });
    const seconds = (name: string, help: string): Histogram =>
      metrics.histogram(`perkey_durable_${name}_duration_seconds`, help, durationBuckets, { type });
    this.commitSeconds = seconds('commit', 'From the append of a commit to the first answer of the store.');
    this.loadSeconds = seconds('load', 'From the first look at the store to the actor in memory, with the fence of a new owner.');
    this.replayed = counter('replayed_events', 'Stored events that were folded to load actors.');
    this.conflicts = counter('conflicts', 'Commits that found another record in their place.');
    this.reruns = counter('reruns', 'Handlers that ran again, because another commit came first.');
    this.fences = counter('fences', 'Records that a new owner wrote before its first turn, to keep out what earlier owners sent.');
    this.fenceRejections = counter('fence_rejections', 'Commits and loads that were refused because a later owner has written.');
    this.unknown = counter('unknown_commits', 'Commits of which nobody could say in time whether they are stored.');
    this.loadFailures = counter('load_failures', 'Actors that could not be loaded.');
  }
}
