import { safeText } from '@perkey/core';
import type { RecordListener, Timer, Watch } from '@perkey/core';
import { faultText, unavailable } from './store-api.ts';
import type { JsReply, StoreApi } from './store-api.ts';
import { heartbeatMs, WatchSession } from './watch-session.ts';
import type { WatchEnvironment } from './watch-session.ts';

const restartDelayMs = 200;

/**
 * Delivers the last value of every key and then each new one, through an ephemeral consumer of the bucket's stream that numbers what it
 * delivers. Nothing is taken on trust: a gap in the numbers, a record passed over, silence, a refusal or a new connection make it start
 * anew with all records, so the last value of a key cannot be missed. A replay from a copy that lags behind is not passed on: per key no
 * revision falls.
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

function lastRevisionOf(streamInfo: JsReply): number {
  const { last_seq: last } = (streamInfo['state'] ?? {}) as { last_seq?: unknown };
  return Number.isSafeInteger(last) ? (last as number) : 0;
}
