import type { KeptRecords, StoredRecord, WriteOutcome } from '@perkey/core';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { GroupWriter } from './group-writer.ts';
import { readFailed } from './store-errors.ts';

const keyPattern = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/;
const pageMax = 1_000;

type Row = readonly [key: string, value: Uint8Array, revision: number];

/** Values are bytes in the file: a text of SQLite would end at its first zero for some readers. */
export class SqliteKeptRecords implements KeptRecords {
  readonly #writer: GroupWriter;
  readonly #read: StatementSync;
  readonly #list: StatementSync;

  constructor(database: DatabaseSync, writer: GroupWriter) {
    this.#writer = writer;
    this.#read = database.prepare('select key, value, revision from records where key = ?');
    this.#list = database.prepare('select key, value, revision from records where key > ? and key < ? order by key limit ?');
    this.#read.setReturnArrays(true);
    this.#list.setReturnArrays(true);
  }

  async read(key: string): Promise<StoredRecord | undefined> {
    checkKey(key);
    const row = this.#look(() => this.#read.get(key)) as Row | undefined;
    return row === undefined ? undefined : recordOf(row);
  }

  async write(key: string, value: string, expectedRevision: number): Promise<WriteOutcome> {
    checkKey(key);
    const revision = await this.#writer.edit({ kind: 'writeRecord', key, value, expectedRevision }, value.length * 3);
    return revision === 0 ? { applied: false } : { applied: true, revision };
  }

  async forget(key: string, upToRevision: number): Promise<void> {
    checkKey(key);
    await this.#writer.edit({ kind: 'forgetRecord', key, upToRevision });
  }

  async *list(prefix: string): AsyncGenerator<readonly StoredRecord[], void, undefined> {
    // The prefix ends with a dot, and '/' is the character after it.
    const end = `${prefix.slice(0, -1)}/`;
    let after = prefix;
    for (;;) {
      const rows = this.#look(() => this.#list.all(after, end, pageMax)) as unknown as readonly Row[];
      if (rows.length > 0) yield rows.map(recordOf);
      if (rows.length < pageMax) return;
      after = (rows.at(-1) as Row)[0];
    }
  }

  #look<T>(look: () => T): T {
    try {
      return look();
    } catch (error) {
      throw readFailed(error);
    }
  }
}

function checkKey(key: string): void {
  if (!keyPattern.test(key)) throw new RangeError(`not a key of a record store: ${JSON.stringify(key.slice(0, 64))}`);
}

function recordOf([key, value, revision]: Row): StoredRecord {
  return { key, value: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString(), revision };
}
