import type { LinkEnvironment, Timer } from '@perkey/core';
import type { Msg } from '@nats-io/transport-node';
import type { LiveConnection } from './connection.ts';
import { listen } from './subscription.ts';
import type { Guard } from './subscription.ts';

export interface WatchEnvironment {
  readonly environment: LinkEnvironment;
  readonly inboxPrefix: string;
  readonly guard: Guard;
}

/** How often the server says that it is there, on an idle watch. */
export const heartbeatMs = 500;
/** Without a sign of life for so long, the server that delivered is gone, and the watch starts anew. */
const silenceMaxMs = 1_750;

export interface SessionEvents {
  onRecord(subject: string, data: () => string, revision: number, deleted: boolean): void;
  onSynced(): void;
  onFault(reason: string): void;
}

/** One consumer from its making to its end. */
export class WatchSession {
  readonly consumer: string;
  readonly inbox: string;
  readonly #live: LiveConnection;
  readonly #around: WatchEnvironment;
  readonly #events: SessionEvents;
  #subscription: { unsubscribe(): void } | undefined;
  #timer: Timer | undefined;
  #delivered = 0;
  #reached = 0;
  #synced = false;
  #heardAt = 0;

  constructor(live: LiveConnection, around: WatchEnvironment, events: SessionEvents) {
    const id = around.environment.random.hex(12);
    this.consumer = `perkey_${id}`;
    this.inbox = `${around.inboxPrefix}.perkey_${id}`;
    this.#live = live;
    this.#around = around;
    this.#events = events;
  }

  /** `revision`: the latest that was given out before the consumer was made. */
  listen(revision: number): void {
    this.#reached = revision;
    this.#subscription = listen(this.#live.nats, this.#around.guard, {
      subject: this.inbox,
      onMessage: (message) => this.#onMessage(message),
      onRefused: (error) => this.#events.onFault(error.message),
    });
    this.#heardAt = this.#around.environment.clock.now();
    this.#listenForLife();
  }

  created(pending: number): void {
    if (pending === 0 && this.#delivered === 0) this.#around.guard('watch', () => this.#sync());
  }

  end(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (!this.#live.nats.isClosed()) this.#subscription?.unsubscribe();
    this.#subscription = undefined;
  }

  #sync(): void {
    if (this.#synced) return;
    this.#synced = true;
    this.#events.onSynced();
  }

  #onMessage(message: Msg): void {
    this.#heardAt = this.#around.environment.clock.now();
    const { headers } = message;
    if (headers?.code === 100) {
      this.#onIdle(Number(headers.get('Nats-Last-Consumer')), Number(headers.get('Nats-Last-Stream')));
      return;
    }
    if (headers !== undefined && headers.code >= 400) {
      this.#events.onFault(headers.description);
      return;
    }
    const place = placeOf(message.reply ?? '');
    if (place === undefined || place.delivered !== this.#delivered + 1) {
      this.#events.onFault('a record was left out');
      return;
    }
    this.#delivered += 1;
    this.#reached = Math.max(this.#reached, place.revision);
    const operation = headers?.get('KV-Operation') ?? '';
    const deleted = operation === 'DEL' || operation === 'PURGE' || Boolean(headers?.has('Nats-Marker-Reason'));
    try {
      this.#events.onRecord(message.subject, () => message.string(), place.revision, deleted);
    } finally {
      if (place.pending === 0) this.#sync();
    }
  }

  /** The consumer has delivered all that it knows of: as many as arrived here, and none that it passed over without delivering. */
  #onIdle(delivered: number, revision: number): void {
    if (delivered === this.#delivered && revision <= this.#reached) this.#sync();
    else this.#events.onFault(`records did not arrive (${this.#delivered} of ${delivered}, up to ${this.#reached} of ${revision})`);
  }

  /** A late timer proves only that this process stood still: it looks again before it gives up. */
  #listenForLife(): void {
    const { clock } = this.#around.environment;
    const setAt = clock.now();
    this.#timer = clock.setTimer(heartbeatMs, () => {
      const now = clock.now();
      if (now - setAt < 2 * heartbeatMs && now - this.#heardAt > silenceMaxMs) this.#events.onFault('the server fell silent');
      else this.#listenForLife();
    });
  }
}

/** What the reply subject of a delivered message tells: `$JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<n>.<revision>.<delivered>.<time>.<pending>`. */
function placeOf(replySubject: string): { readonly revision: number; readonly delivered: number; readonly pending: number } | undefined {
  const tokens = replySubject.split('.');
  if (tokens[0] !== '$JS' || tokens[1] !== 'ACK' || tokens.length < 9) return undefined;
  const at = tokens.length === 9 ? 5 : 7;
  const [revision, delivered, pending] = [tokens[at], tokens[at + 1], tokens[at + 3]].map(Number) as [number, number, number];
  if (!Number.isSafeInteger(revision) || !Number.isSafeInteger(delivered) || !Number.isSafeInteger(pending)) return undefined;
  return { revision, delivered, pending };
}
