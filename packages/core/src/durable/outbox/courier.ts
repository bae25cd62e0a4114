import type { Clock } from '../../base/clock.ts';
import { type ErrorCode, PerkeyError } from '../../base/errors.ts';
import type { Caller } from '../../contract/calls.ts';
import type { StreamName } from '../../contract/commit-log.ts';
import type { Publish } from '../../contract/transport.ts';
import type { PendingMessage } from '../../events/bookkeeping.ts';
import type { WakeMetrics } from '../wakes/wake-metrics.ts';
import { messageId, publishedBytes, readMessage } from './outbox-message.ts';

export interface CourierOptions {
  readonly cluster: string;
  readonly caller: () => Caller;
  /** Undefined where the transport has no subjects. */
  readonly publish: Publish | undefined;
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly metrics: WakeMetrics;
}

const pointless: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  ...(['method.unknown', 'input.invalid', 'key.invalid', 'payload.too_large', 'payload.not_plain', 'request.malformed'] as const),
  ...(['request.refused', 'request.forbidden', 'idempotency.mismatch', 'stream.corrupt', 'stream.tombstoned', 'options.invalid'] as const),
]);

/** No further try of the same message can end otherwise: it was executed and failed, or it can never be taken. */
export function isPointless(error: unknown): boolean {
  return error instanceof PerkeyError && (error.executed === 'yes' || pointless.has(error.code));
}

/** Takes one message to its receiver. */
export class Courier {
  readonly #o: CourierOptions;

  constructor(options: CourierOptions) {
    this.#o = options;
  }

  /** Resolves when the receiver has acknowledged it. Whatever it rejects with, at once when the signal aborts: the receiver may have it. */
  async deliver(stream: StreamName, pending: PendingMessage, signal: AbortSignal): Promise<void> {
    const { cluster, caller, publish, clock, timeoutMs, metrics } = this.#o;
    const message = readMessage(pending);
    const id = messageId(cluster, stream, pending.number);
    if (message.to === 'actor') {
      const { type, method, key, input, headers } = message;
      await caller().request(type, method, key, input, { headers, timeoutMs, signal, idempotencyKey: id });
      metrics.sent.inc();
    } else {
      if (publish === undefined) throw new PerkeyError('options.invalid', 'the transport of this node publishes nothing');
      const { subject, headers } = message;
      await inTime(clock, timeoutMs, signal, publish({ subject, id, headers, data: publishedBytes(message.data) }));
      metrics.published.inc();
    }
    metrics.outboxSeconds.observe(Math.max(0, clock.wall() - pending.at) / 1_000);
  }
}

function inTime(clock: Clock, ms: number, signal: AbortSignal, published: Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => reject(new PerkeyError('deadline.exceeded', 'publishing was not acknowledged in time'));
    const timer = clock.setTimer(ms, giveUp);
    signal.addEventListener('abort', giveUp, { once: true });
    published.then(resolve, reject).finally(() => {
      timer.cancel();
      signal.removeEventListener('abort', giveUp);
    });
  });
}
