import type { Counter, Histogram, Metrics } from '@perkey/core';
import type { GroupAnswer } from './group.ts';

const buckets = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2];

export class SqliteMetrics {
  readonly #metrics: Metrics;
  readonly #transactions: Counter;
  readonly #writes: Counter;
  readonly #failures: Counter;
  readonly #duration: Histogram;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
    this.#transactions = metrics.counter('perkey_sqlite_transactions_total', 'Transactions of the writing thread.');
    this.#writes = metrics.counter('perkey_sqlite_writes_total', 'Appends and other writes that went into them.');
    this.#failures = metrics.counter('perkey_sqlite_write_failures_total', 'Writes that the file did not take, or may not have taken.');
    this.#duration = metrics.histogram(
      'perkey_sqlite_group_duration_seconds',
      'From the beginning of a group to its commit on the disk.',
      buckets,
    );
  }

  observe(waitingBytes: () => number): void {
    this.#metrics.observedGauge('perkey_sqlite_waiting_bytes', 'What waits for the disk.', waitingBytes);
  }

  countGroup({ appends, edits, transactions, seconds }: GroupAnswer): void {
    this.#transactions.inc(transactions);
    this.#writes.inc(appends.length + edits.length);
    this.#duration.observe(seconds);
    for (const result of appends) if (typeof result !== 'number') this.#failures.inc();
    for (const result of edits) if (typeof result !== 'number') this.#failures.inc();
  }
}
