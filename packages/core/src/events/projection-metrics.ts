import type { Counter, Gauge, Metrics } from '../base/metrics.ts';

/** The instruments of one projection on its node. The label is the name of the definition. */
export class ProjectionMetrics {
  readonly handled: Counter;
  readonly failures: Counter;
  readonly skipped: Counter;
  readonly deadLetters: Counter;
  readonly checkpoints: Counter;
  readonly lag: Gauge;
  readonly running: Gauge;

  constructor(metrics: Metrics, projection: string) {
    const labels = { projection };
    this.handled = metrics.counter('perkey_projection_events_total', 'Events handled by a projection.', labels);
    this.failures = metrics.counter('perkey_projection_failures_total', 'Attempts of a projection that threw.', labels);
    this.skipped = metrics.counter(
      'perkey_projection_skipped_total',
      'Events that a projection passed over because its handler threw.',
      labels,
    );
    this.deadLetters = metrics.counter('perkey_projection_dead_letters_total', 'Events put aside after the last attempt.', labels);
    this.checkpoints = metrics.counter('perkey_projection_checkpoints_total', 'Checkpoints saved by a projection.', labels);
    this.lag = metrics.gauge(
      'perkey_projection_lag_records',
      'At most so many records of the store the live build of a projection has yet to read.',
      labels,
    );
    this.running = metrics.gauge(
      'perkey_projection_running',
      '1 while this node runs the projection and it is not stopped by an error.',
      labels,
    );
  }
}
