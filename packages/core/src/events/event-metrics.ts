import type { Counter, Histogram, Metrics } from '../base/metrics.ts';
import type { AppendResult } from './append-result.ts';

const secondsBuckets = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.2, 1, 5];

/** What one store of a node counts. `log` is `events` or `states`. */
export class EventMetrics {
  readonly events: Counter;
  readonly bytes: Counter;
  readonly appendSeconds: Histogram;
  readonly loads: Counter;
  readonly loadFailures: Counter;
  readonly loadSeconds: Histogram;
  readonly readRecords: Counter;
  readonly #appends: Readonly<Record<AppendResult['kind'], Counter>>;
  readonly #settled: Readonly<Record<'appended' | 'absent' | 'unknown', Counter>>;

  constructor(metrics: Metrics, log: 'events' | 'states') {
    const appends = (outcome: string): Counter =>
      metrics.counter('perkey_store_appends_total', 'Appends to the store by how they ended.', { log, outcome });
    const settled = (outcome: string): Counter =>
      metrics.counter('perkey_store_settled_total', 'Commits without an answer, by what was found out about them.', { log, outcome });
    this.events = metrics.counter('perkey_store_events_appended_total', 'Events that were stored.');
    this.bytes = metrics.counter('perkey_store_appended_bytes_total', 'Bytes of the records that were stored.', { log });
    this.appendSeconds = metrics.histogram('perkey_store_append_duration_seconds', 'From an append to its answer.', secondsBuckets, {
      log,
    });
    this.loads = metrics.counter('perkey_store_loads_total', 'Streams that were read to know their state.', { log });
    this.loadFailures = metrics.counter('perkey_store_load_failures_total', 'Streams that could not be read.', { log });
    this.loadSeconds = metrics.histogram(
      'perkey_store_load_duration_seconds',
      'From the start of reading a stream to its end.',
      secondsBuckets,
      { log },
    );
    this.readRecords = metrics.counter('perkey_store_records_read_total', 'Records that were read, for a stream or for all.', { log });
    this.#appends = {
      appended: appends('appended'),
      conflict: appends('conflict'),
      fenced: appends('fenced'),
      refused: appends('refused'),
      unknown: appends('unknown'),
    };
    this.#settled = { appended: settled('appended'), absent: settled('absent'), unknown: settled('unknown') };
  }

  appendEnded(kind: AppendResult['kind']): void {
    this.#appends[kind].inc();
  }

  settleEnded(kind: 'appended' | 'absent' | 'unknown'): void {
    this.#settled[kind].inc();
  }
}
