import { safeText } from '@perkey/core';
import type { LinkEnvironment, RecordListener, Timer, Watch } from '@perkey/core';
import type { Msg } from '@nats-io/transport-node';
import type { LiveConnection } from './connection.ts';
import { faultText, unavailable } from './store-api.ts';
import type { JsReply, StoreApi } from './store-api.ts';
import { listen } from './subscription.ts';
import type { Guard } from './subscription.ts';

export interface WatchEnvironment {
  readonly environment: LinkEnvironment;
  readonly inboxPrefix: string;
  readonly guard: Guard;
}

const heartbeatMs = 500;
/** Without a sign of life for so long, the server that delivered is gone, and the watch starts anew. */
const silenceMaxMs = 1_750;
const restartDelayMs = 200;

/**
 * Delivers the last value of every key and then each new one, through an ephemeral consumer of the bucket's stream that numbers what it
 * delivers. Nothing is taken on trust: a gap in the numbers, a record passed over, silence, a refusal or a new connection make it start anew with all records, so
 * the last value of a key cannot be missed. A replay from a copy that lags behind is not passed on: per key no revision falls.
 */
export class RecordWatch implements Watch {
  readonly #bucket: string;
  readonly #stream: string;
  readonly #api: StoreApi;
  readonly #listener: RecordListener;
  readonly #around: WatchEnvironment;
  readonly #onStop: () => void;
  readonly #revisions = new Map<string, number>();
  #bucketCreated = '';
  #session: WatchSession | undefined;
  #restart: Timer | undefined;
  #stopped = false;

  constructor(bucket: string, api: StoreApi, listener: RecordListener, around: WatchEnvironment, onStop: () => void) {
    this.#bucket = bucket;
    this.#stream = `KV_${bucket}`;
    this.#api = api;
    this.#listener = listener;
    this.#around = around;
    this.#onStop = onStop;
  }

  /** The first start. Rejects with `store.unavailable`. */
  async start(): Promise<void> {
    const session = this.#newSession();
    if (session === undefined) throw unavailable('not connected to NATS');
    await this.#open(session);
  }

  resume(): void {
    if (this.#stopped || this.#session !== undefined) return;
    const session = this.#newSession();
    if (session === undefined) return;
    this.#open(session).catch((error: unknown) => this.#fail(session, safeText(error)));
  }

  suspend(): void {
    this.#restart?.cancel();
    this.#session?.end();
    this.#session = undefined;
  }

  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    const session = this.#session;
    this.suspend();
    this.#onStop();
    if (session === undefined) return;
    this.#api.request(`$JS.API.CONSUMER.DELETE.${this.#stream}.${session.consumer}`, '').catch(() => {
      // The server forgets it by itself.
    });
  }

  #newSession(): WatchSession | undefined {
    const live = this.#api.live;
    if (live === undefined) return undefined;
    const session = new WatchSession(live, this.#around, {
      onRecord: (subject, data, revision, deleted) => this.#onRecord(session, subject, data, revision, deleted),
      onSynced: () => {
        if (this.#session === session) this.#listener.onSynced();
      },
      onFault: (reason) => this.#fail(session, reason),
    });
    this.#session = session;
    return session;
  }

  async #open(session: WatchSession): Promise<void> {
    const info = await this.#api.request(`$JS.API.STREAM.INFO.${this.#stream}`, '');
    if (info.error !== undefined) throw unavailable(faultText(info.error));
    if (this.#session !== session) return;
    // A bucket that was made anew counts from 1 again.
    const created = String(info['created']);
    if (created !== this.#bucketCreated) this.#revisions.clear();
    this.#bucketCreated = created;
    session.listen(lastRevisionOf(info));
    const config = {
      name: session.consumer,
      deliver_subject: session.inbox,
      deliver_policy: 'last_per_subject',
      filter_subject: `$KV.${this.#bucket}.>`,
      ack_policy: 'none',
      max_deliver: 1,
      mem_storage: true,
      num_replicas: 1,
      idle_heartbeat: heartbeatMs * 1e6,
      inactive_threshold: 10e9,
    };
    const body = JSON.stringify({ stream_name: this.#stream, config });
    const made = await this.#api.request(`$JS.API.CONSUMER.CREATE.${this.#stream}.${session.consumer}.$KV.${this.#bucket}.>`, body);
    if (made.error !== undefined) throw unavailable(faultText(made.error));
    session.created(Number(made['num_pending'] ?? 0));
  }

  #onRecord(session: WatchSession, subject: string, data: () => string, revision: number, deleted: boolean): void {
    if (this.#session !== session || deleted) return;
    const key = subject.slice(`$KV.${this.#bucket}.`.length);
    if (revision < (this.#revisions.get(key) ?? 0)) return;
    this.#revisions.set(key, revision);
    this.#listener.onRecord({ key, value: data(), revision });
  }

  #fail(session: WatchSession, reason: string): void {
    if (this.#session !== session || this.#stopped) return;
    this.#around.environment.log.debug({ bucket: this.#bucket, reason }, 'a watch starts anew');
    session.end();
    this.#session = undefined;
    this.#restart = this.#around.environment.clock.setTimer(restartDelayMs, () => this.resume());
  }
}

interface SessionEvents {
  onRecord(subject: string, data: () => string, revision: number, deleted: boolean): void;
  onSynced(): void;
  onFault(reason: string): void;
}

/** One consumer from its making to its end. */
class WatchSession {
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

function lastRevisionOf(streamInfo: JsReply): number {
  const { last_seq: last } = (streamInfo['state'] ?? {}) as { last_seq?: unknown };
  return Number.isSafeInteger(last) ? (last as number) : 0;
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
