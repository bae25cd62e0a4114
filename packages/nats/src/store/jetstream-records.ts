import type { KeptRecords, StoredRecord, WriteOutcome } from '@perkey/core';
import type { Msg } from '@nats-io/transport-node';
import type { NatsRecordStore } from '../record-store.ts';
import { unavailable } from '../store-api.ts';
import { PullSession } from './pull-session.ts';
import { lastSequence } from './store-link.ts';
import type { StoreLink } from './store-link.ts';
import type { LogNames } from './store-names.ts';

const pageMax = 1_000;

export interface RecordParts {
  readonly link: StoreLink;
  readonly store: NatsRecordStore;
  readonly names: LogNames;
  readonly pullBytesMax: number;
}

/** Whether somebody's `nats kv del` left this message as a mark. */
function isDeletion(headers: Msg['headers']): boolean {
  const operation = headers?.get('KV-Operation') ?? '';
  return operation === 'DEL' || operation === 'PURGE' || headers?.has('Nats-Marker-Reason') === true;
}

/** Small records in a KV bucket. */
export class JetStreamRecords implements KeptRecords {
  readonly #parts: RecordParts;

  constructor(parts: RecordParts) {
    this.#parts = parts;
  }

  async read(key: string): Promise<StoredRecord | undefined> {
    await this.#parts.link.ready();
    return this.#parts.store.read(key);
  }

  async write(key: string, value: string, expectedRevision: number): Promise<WriteOutcome> {
    await this.#parts.link.ready();
    return this.#parts.store.write(key, value, expectedRevision);
  }

  async forget(key: string, upToRevision: number): Promise<void> {
    await this.#parts.link.ready();
    return this.#parts.store.forget(key, upToRevision);
  }

  async *list(prefix: string): AsyncGenerator<readonly StoredRecord[], void, undefined> {
    const { link, names, pullBytesMax } = this.#parts;
    if (!/^([A-Za-z0-9_-]+\.)+$/.test(prefix)) throw unavailable('a prefix is made of A-Z a-z 0-9 _ - and ends with a dot');
    await link.ready();
    if ((await lastSequence(link, names.natsStream)) === 0) return;
    const session = await PullSession.open(link, {
      natsStream: names.natsStream,
      filters: [`${names.prefix}${prefix}>`],
      fits: ({ headers }) => !isDeletion(headers),
      withSubject: true,
      deliver: { deliver_policy: 'last_per_subject' },
      end: 0,
      countMax: pageMax,
      bytesMax: pullBytesMax,
    });
    try {
      for (;;) {
        const records = session.take(pageMax);
        const { live } = session;
        if (records.length > 0) {
          const decoder = new TextDecoder();
          yield records.map(({ subject, sequence, body }) => ({
            key: subject.slice(names.prefix.length),
            value: decoder.decode(body),
            revision: sequence,
          }));
        }
        if (live) return;
        await session.more();
      }
    } finally {
      session.end();
    }
  }
}
