import type { Counter, Histogram, Metrics } from '../base/metrics.ts';

const durationBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 10];

/** What a caller counts for one method. */
export class RequestSeries {
  readonly duration: Histogram;
  readonly ok: Counter;
  readonly #metrics: Metrics;
  readonly #labels: { readonly type: string; readonly method: string };
  readonly #byOutcome = new Map<string, Counter>();

  constructor(metrics: Metrics, type: string, method: string) {
    this.#metrics = metrics;
    this.#labels = { type, method };
    this.duration = metrics.histogram(
      'perkey_cluster_request_duration_seconds',
      'From the call to its outcome, as the caller sees it, with every attempt in between.',
      durationBuckets,
      this.#labels,
    );
    this.ok = this.outcome('ok');
  }

  /** `code` is `ok` or a code of the error catalogue. */
  outcome(code: string): Counter {
    let counter = this.#byOutcome.get(code);
    if (!counter) {
      counter = this.#metrics.counter('perkey_cluster_requests_total', 'Calls by their outcome, as the caller sees it.', {
        ...this.#labels,
        outcome: code,
      });
      this.#byOutcome.set(code, counter);
    }
    return counter;
  }
}

/** What a caller counts. Labels are made only from declared contracts; everything else counts as `other`. */
export class RequestMetrics {
  readonly #metrics: Metrics;
  readonly #series = new Map<string, Map<string, RequestSeries>>();
  readonly #other: RequestSeries;
  readonly retries: Counter;
  readonly notifiesLost: Counter;
  readonly framesSent: Counter;
  readonly envelopesPerFrame: Histogram;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
    this.#other = new RequestSeries(metrics, 'other', 'other');
    this.retries = metrics.counter('perkey_cluster_request_retries_total', 'Calls sent again by the runtime itself.');
    this.notifiesLost = metrics.counter('perkey_cluster_notifies_lost_total', 'One-way messages that were certainly not executed.');
    this.framesSent = metrics.counter('perkey_cluster_frames_sent_total', 'Frames of requests handed to the connection.');
    this.envelopesPerFrame = metrics.histogram(
      'perkey_cluster_frame_envelopes',
      'Requests in one frame.',
      [1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
    );
  }

  declare(type: string, methods: Iterable<string>): void {
    const known = this.#series.get(type) ?? new Map<string, RequestSeries>();
    for (const method of methods) if (!known.has(method)) known.set(method, new RequestSeries(this.#metrics, type, method));
    this.#series.set(type, known);
  }

  for(type: string, method: string): RequestSeries {
    return this.#series.get(type)?.get(method) ?? this.#other;
  }
}
