import { decode, encode } from '../../base/codec.ts';
import { describeThrown } from '../../base/errors.ts';
import { safeText } from '../../base/log-text.ts';
import type { StreamName } from '../../contract/commit-log.ts';
import type { KeptRecords } from '../../contract/store.ts';
import type { PendingMessage } from '../../events/bookkeeping.ts';
import { commitLimits } from '../../events/commit.ts';
import type { OutboxDraft } from '../drafts.ts';
import { messageId } from './outbox-message.ts';

const prefix = 'outbox-dead.';

/** A larger message is named only; an aggregate's is still in its history. */
const messageBytesMax = 64 * 1_024;

/** A message that was not delivered, and why. */
export interface DeadMessage {
  /** Names it to `remove`. */
  readonly id: string;
  /** The actor that wrote it. */
  readonly type: string;
  readonly key: string;
  readonly number: number;
  /** When it was written and when it was given up, in ms since 1970. */
  readonly writtenAt: number;
  readonly at: number;
  readonly tries: number;
  readonly error: string;
  /** Undefined for one that was too large to be kept. */
  readonly message: OutboxDraft | undefined;
}

/** The messages of outboxes that were put aside, in the records of a store. */
export class DeadMessages {
  readonly #records: KeptRecords;
  readonly #cluster: string;

  constructor(records: KeptRecords, cluster: string) {
    this.#records = records;
    this.#cluster = cluster;
  }

  /** Does nothing where it is there already. Rejects with `store.unavailable`. */
  async add(shard: number, stream: StreamName, pending: PendingMessage, tries: number, error: unknown, at: number): Promise<void> {
    const { number, message } = pending;
    const bytes = encode(message, commitLimits);
    const kept = bytes.length <= messageBytesMax ? Buffer.from(bytes).toString('base64') : null;
    const { type, key } = stream;
    const value = { type, key, number, writtenAt: pending.at, at, tries, error: safeText(describeThrown(error), 512), message: kept };
    await this.#records.write(`${prefix}${shard}.${messageId(this.#cluster, stream, number)}`, JSON.stringify(value), 0);
  }

  /** Rejects with `store.unavailable`. */
  async list(): Promise<readonly DeadMessage[]> {
    const found: DeadMessage[] = [];
    for await (const records of this.#records.list(prefix)) {
      for (const { key, value } of records) {
        const { message, ...rest } = JSON.parse(value) as Omit<DeadMessage, 'id' | 'message'> & { readonly message: string | null };
        found.push({ id: key.slice(prefix.length), ...rest, message: message === null ? undefined : messageOf(message) });
      }
    }
    return found.sort((a, b) => a.at - b.at);
  }

  /** Forgets one that has been dealt with. Rejects with `store.unavailable`. */
  async remove(id: string): Promise<void> {
    const key = prefix + id;
    const record = /^\d+\.[\w-]+$/.test(id) ? await this.#records.read(key) : undefined;
    if (record !== undefined) await this.#records.forget(key, record.revision);
  }
}

function messageOf(kept: string): OutboxDraft {
  const bytes = Buffer.from(kept, 'base64');
  return decode(bytes, 0, bytes.length, commitLimits) as OutboxDraft;
}
