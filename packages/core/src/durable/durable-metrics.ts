import type { Counter, Histogram, Metrics } from '../base/metrics.ts';
import { durationBuckets } from '../base/metrics-registry.ts';

export type CommitOutcome = 'stored' | 'conflict' | 'fenced' | 'refused' | 'unknown';
export type SnapshotOutcome = 'saved' | 'failed' | 'too_large' | 'unreadable' | 'used';
export type SettledAs = 'stored' | 'not_stored' | 'never';

/** The instruments of one durable actor type. */
export class DurableMetrics {
  readonly commitSeconds: Histogram;
  readonly loadSeconds: Histogram;
  readonly eventsAppended: Counter;
  readonly eventsReplayed: Counter;
  readonly reruns: Counter;
  readonly fenceRejections: Counter;
  readonly fences: Counter;
  readonly loadFailures: Counter;
  readonly #commits: (outcome: CommitOutcome) => Counter;
  readonly #snapshots: (outcome: SnapshotOutcome) => Counter;
  readonly #settled: (outcome: SettledAs) => Counter;

  constructor(metrics: Metrics, type: string) {
    const labels = { type };
    this.commitSeconds = metrics.histogram(
      'perkey_events_commit_duration_seconds',
      'From the append of a commit to the answer of the store.',
      durationBuckets,
      labels,
    );
    this.loadSeconds = metrics.histogram(
      'perkey_events_load_duration_seconds',
      'How long it took to load a durable actor.',
      durationBuckets,
      labels,
    );
    this.eventsAppended = metrics.counter('perkey_events_appended_total', 'Events that were stored.', labels);
    this.eventsReplayed = metrics.counter('perkey_events_replayed_total', 'Stored events that were folded while loading.', labels);
    this.reruns = metrics.counter('perkey_events_reruns_total', 'Handlers that ran again because another commit came first.', labels);
    this.fenceRejections = metrics.counter(
      'perkey_events_fence_rejections_total',
      'Commits and loads that were refused because a later owner has written.',
      labels,
    );
    this.fences = metrics.counter('perkey_events_fences_total', 'Fence records that were stored.', labels);
    this.loadFailures = metrics.counter('perkey_events_load_failures_total', 'Durable actors that could not be loaded.', labels);
    this.#commits = memo((outcome) =>
      metrics.counter('perkey_events_commits_total', 'Attempts to store what a turn decided, by what came of them.', { type, outcome }),
    );
    this.#snapshots = memo((outcome) =>
      metrics.counter('perkey_events_snapshots_total', 'Snapshots by what became of them.', { type, outcome }),
    );
    this.#settled = memo((outcome) =>
      metrics.counter('perkey_events_settled_total', 'Commits with a doubtful answer, by what they turned out to be.', { type, outcome }),
    );
  }

  commit(outcome: CommitOutcome): void {
    this.#commits(outcome).inc();
  }

  snapshot(outcome: SnapshotOutcome): void {
    this.#snapshots(outcome).inc();
  }

  settled(outcome: SettledAs): void {
    this.#settled(outcome).inc();
  }
}

function memo<Key>(make: (key: Key) => Counter): (key: Key) => Counter {
  const made = new Map<Key, Counter>();
  return (key) => {
    let counter = made.get(key);
    if (counter === undefined) made.set(key, (counter = make(key)));
    return counter;
  };
}
