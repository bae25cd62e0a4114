import type { Counter, Histogram, Metrics } from '../../base/metrics.ts';
import { durationBuckets } from '../../base/metrics-registry.ts';

/** The instruments of wakes/, outbox/ and reminders/. */
export class WakeMetrics {
  readonly wakes: Counter;
  readonly recordWrites: Counter;
  readonly lists: Counter;
  readonly published: Counter;
  readonly sent: Counter;
  readonly outboxRetries: Counter;
  readonly outboxDead: Counter;
  readonly outboxSeconds: Histogram;
  readonly fired: Counter;
  readonly reminderRetries: Counter;
  readonly reminderSkips: Counter;
  readonly reminderDelay: Histogram;
  readonly #metrics: Metrics;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
    const { counter, histogram } = {
      counter: (name: string, help: string, labels = {}): Counter => metrics.counter(`perkey_${name}_total`, help, labels),
      histogram: (name: string, help: string): Histogram => metrics.histogram(`perkey_${name}_seconds`, help, durationBuckets),
    };
    const delivered = 'Outbox messages that were delivered, by what took them.';
    this.wakes = counter('wakes', 'Wake-ups of durable actors that had something to do or to note.');
    this.recordWrites = counter('wake_record_writes', 'Writes of the records that wake durable actors.');
    this.lists = counter('wake_lists', 'Looks at a shard for actors to be woken.');
    this.published = counter('outbox_delivered', delivered, { to: 'subject' });
    this.sent = counter('outbox_delivered', delivered, { to: 'actor' });
    this.outboxRetries = counter('outbox_failed_tries', 'Tries to deliver an outbox message that failed.');
    this.outboxDead = counter('outbox_dead', 'Outbox messages that were put aside as dead letters.');
    this.outboxSeconds = histogram('outbox_delivery_duration', 'From the commit of an outbox message to its delivery.');
    this.fired = counter('reminders_called', 'Due times of reminders whose call was stored.');
    this.reminderRetries = counter('reminder_failed_tries', 'Calls of reminders that failed.');
    this.reminderSkips = counter('reminders_skipped', 'Due times of reminders that were left out: missed, or failed too often.');
    this.reminderDelay = histogram('reminder_delay', 'From the due time of a reminder to the end of its call.');
  }

  observe(read: { readonly kept: () => number; readonly atWork: () => number }): void {
    this.#metrics.observedGauge('perkey_wakes_kept', 'Actors of which the node knows that they have something to do.', read.kept);
    this.#metrics.observedGauge('perkey_wakes_at_work', 'Wake-ups, deliveries and calls of reminders under way.', read.atWork);
  }
}
