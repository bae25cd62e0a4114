import type { StoredRecord, WriteOutcome } from '../contract/record-store.ts';
import type { KeptRecords } from '../contract/store.ts';
import { checkRecordKey } from './memory-record-store.ts';
import type { RecordTable } from './record-table.ts';
import type { StoreAnswers } from './store-answers.ts';

const pageMax = 1_000;

export class MemoryKeptRecords implements KeptRecords {
  readonly #table: RecordTable;
  readonly #answers: StoreAnswers;

  constructor(table: RecordTable, answers: StoreAnswers) {
    this.#table = table;
    this.#answers = answers;
  }

  read(key: string): Promise<StoredRecord | undefined> {
    return this.#ask(key, () => this.#table.read(key));
  }

  write(key: string, value: string, expectedRevision: number): Promise<WriteOutcome> {
    return this.#ask(key, () => this.#table.write(key, value, expectedRevision));
  }

  forget(key: string, upToRevision: number): Promise<void> {
    return this.#ask(key, () => this.#table.forget(key, upToRevision));
  }

  async *list(prefix: string): AsyncGenerator<readonly StoredRecord[], void, undefined> {
    const all = this.#table.records().filter((record) => record.key.startsWith(prefix));
    await this.#answers.answer(() => undefined);
    for (let i = 0; i < all.length; i += pageMax) yield all.slice(i, i + pageMax);
  }

  async #ask<T>(key: string, run: () => T): Promise<T> {
    checkRecordKey(key);
    return this.#answers.answer(run);
  }
}
