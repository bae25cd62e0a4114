import { PerkeyError } from '@perkey/core';
import type { RecordListener, RecordStore, StoredRecord, Watch, WriteOutcome } from '@perkey/core';
import { RecordWatch } from './record-watch.ts';
import { faultText, jsErrors, unavailable } from './store-api.ts';
import type { JsReply, StoreApi } from './store-api.ts';
import type { WatchEnvironment } from './watch-session.ts';

const keyPattern = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/;
const keyBytesMax = 200;

/**
 * Records in a NATS KV bucket: one message per key on `$KV.<bucket>.<key>`. Reads go to the leader of the stream, never "direct" to whoever
 * holds a copy; still they may be stale (H3). Writes carry the expected last sequence of the key's subject.
 */
export class NatsRecordStore implements RecordStore {
  readonly #bucket: string;
  readonly #stream: string;
  readonly #api: StoreApi;
  readonly #watchEnvironment: WatchEnvironment;
  readonly #watches = new Set<RecordWatch>();
  readonly #onMissing: () => void;

  /** `onMissing` is told when the server says that the bucket does not exist. */
  constructor(bucket: string, api: StoreApi, watchEnvironment: WatchEnvironment, onMissing: () => void) {
    this.#bucket = bucket;
    this.#stream = `KV_${bucket}`;
    this.#api = api;
    this.#watchEnvironment = watchEnvironment;
    this.#onMissing = onMissing;
  }

  async read(key: string): Promise<StoredRecord | undefined> {
    const found = await this.#last(checkedKey(key));
    return found === undefined || found.deleted ? undefined : found.record;
  }

  async write(key: string, value: string, expectedRevision: number): Promise<WriteOutcome> {
    checkedKey(key);
    if (!Number.isSafeInteger(expectedRevision) || expectedRevision < 0)
      throw new PerkeyError('options.invalid', `revision ${expectedRevision} is not one`);
    const outcome = await this.#put(key, value, expectedRevision);
    if (outcome.applied || expectedRevision !== 0) return outcome;
    // A mark left by somebody's `nats kv del` counts as missing, though it has a revision.
    const found = await this.#last(key);
    return found?.deleted === true ? this.#put(key, value, found.record.revision) : outcome;
  }

  /**
   * Message by message, not by a purge: on server 2.9 a purge of one subject makes consumers skip what they have not yet delivered of all
   * others, so that watches miss updates.
   */
  async forget(key: string, upToRevision: number): Promise<void> {
    const subject = `$KV.${this.#bucket}.${checkedKey(key)}`;
    let failed = 0;
    let from = 1;
    for (;;) {
      const query = JSON.stringify({ seq: from, next_by_subj: subject });
      const reply = await this.#api.request(`$JS.API.STREAM.MSG.GET.${this.#stream}`, query);
      if (reply.error?.err_code === jsErrors.noMessageFound) return;
      this.#answered(reply);
      const revision = Number((reply['message'] as { seq?: unknown } | undefined)?.seq);
      if (!Number.isSafeInteger(revision)) throw unavailable('its answer holds no message');
      if (revision > upToRevision) return;
      const erase = JSON.stringify({ seq: revision, no_erase: true });
      const erased = await this.#api.request(`$JS.API.STREAM.MSG.DELETE.${this.#stream}`, erase);
      const code = erased.error?.err_code;
      const goneAlready = code === jsErrors.sequenceNotFound || code === jsErrors.messageDeleteFailed;
      // Somebody else may have removed it at the same moment: look again, once.
      if (!goneAlready || failed === revision) this.#answered(erased);
      if (goneAlready) failed = revision;
      else from = revision + 1;
    }
  }

  async watch(listener: RecordListener): Promise<Watch> {
    const watch = new RecordWatch(this.#bucket, this.#api, listener, this.#watchEnvironment, () => this.#watches.delete(watch));
    this.#watches.add(watch);
    try {
      await watch.start();
    } catch (error) {
      watch.stop();
      throw error;
    }
    return watch;
  }

  /** The connection is up: watches start anew on it. */
  resume(): void {
    for (const watch of this.#watches) watch.resume();
  }

  /** The connection is lost or closed. */
  suspend(): void {
    for (const watch of this.#watches) watch.suspend();
  }

  async #put(key: string, value: string, expectedRevision: number): Promise<WriteOutcome> {
    const reply = await this.#api.request(`$KV.${this.#bucket}.${key}`, value, {
      'Nats-Expected-Stream': this.#stream,
      'Nats-Expected-Last-Subject-Sequence': String(expectedRevision),
    });
    const code = reply.error?.err_code;
    if (code === jsErrors.wrongLastSequence || code === jsErrors.wrongLastSequenceInFlight) return { applied: false };
    this.#answered(reply);
    const revision = reply['seq'];
    if (!Number.isSafeInteger(revision) || reply['stream'] !== this.#stream) throw unavailable('its acknowledgement is not one');
    return { applied: true, revision: revision as number };
  }

  async #last(key: string): Promise<{ readonly record: StoredRecord; readonly deleted: boolean } | undefined> {
    const subject = `$KV.${this.#bucket}.${key}`;
    const reply = await this.#api.request(`$JS.API.STREAM.MSG.GET.${this.#stream}`, JSON.stringify({ last_by_subj: subject }));
    if (reply.error?.err_code === jsErrors.noMessageFound) return undefined;
    this.#answered(reply);
    const message = reply['message'] as { subject?: unknown; seq?: unknown; data?: unknown; hdrs?: unknown } | undefined;
    if (message === undefined || message.subject !== subject || !Number.isSafeInteger(message.seq))
      throw unavailable('its answer holds no message');
    const marks = typeof message.hdrs === 'string' ? Buffer.from(message.hdrs, 'base64').toString('latin1') : '';
    const value = typeof message.data === 'string' ? Buffer.from(message.data, 'base64').toString('utf8') : '';
    return { record: { key, value, revision: message.seq as number }, deleted: isDeletion(marks) };
  }

  #answered(reply: JsReply): void {
    const { error } = reply;
    if (error === undefined) return;
    if (error.err_code === jsErrors.streamNotFound) this.#onMissing();
    throw unavailable(faultText(error));
  }
}

/** Whether the headers of a message mark its key as deleted. */
function isDeletion(headerText: string): boolean {
  return /^KV-Operation:\s*(DEL|PURGE)\s*$/m.test(headerText) || /^Nats-Marker-Reason:/m.test(headerText);
}

function checkedKey(key: string): string {
  if (key.length <= keyBytesMax && keyPattern.test(key)) return key;
  throw new PerkeyError('options.invalid', 'a record key is made of A-Z a-z 0-9 _ - with dots between', { details: { option: 'key' } });
}
