import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node';

/** Runs a callback that must not throw into the client library; a throw is counted and logged. */
export type Guard = (place: string, run: () => void) => void;

export interface Wanted {
  readonly subject: string;
  readonly queue?: string;
  onMessage(message: Msg): void;
  /** The server does not allow this subscription; it has ended. */
  onRefused?(error: Error): void;
}

/**
 * The one place that subscribes. The library reads nothing more after a callback threw, and says so on the console only (H14), so every
 * callback is guarded here.
 */
export function listen(nats: NatsConnection, guard: Guard, { subject, queue, onMessage, onRefused }: Wanted): Subscription {
  return nats.subscribe(subject, {
    ...(queue === undefined ? {} : { queue }),
    callback: (error, message) => {
      if (error === null) guard(subject, () => onMessage(message));
      else guard(subject, () => onRefused?.(error));
    },
  });
}
