import type { StoredRecord, WriteOutcome } from '../contract/record-store.ts';

/** Told of each write in the order of revisions, during the write. Must not throw. */
export type RecordObserver = (record: StoredRecord) => void;

/** The records of one store of one cluster, as the broker holds them. Every method is one atomic step. */
export class RecordTable {
  #records = new Map<string, StoredRecord>();
  #lastRevision = 0;
  readonly #observers = new Set<RecordObserver>();

  get lastRevision(): number {
    return this.#lastRevision;
  }

  /** In the order of their first write. */
  records(): readonly StoredRecord[] {
    return [...this.#records.values()];
  }

  read(key: string): StoredRecord | undefined {
    return this.#records.get(key);
  }

  write(key: string, value: string, expectedRevision: number): WriteOutcome {
    const latest = this.#records.get(key)?.revision ?? 0;
    if (latest !== expectedRevision) return { applied: false };
    this.#lastRevision += 1;
    const record = Object.freeze({ key, value, revision: this.#lastRevision });
    this.#records.set(key, record);
    for (const observer of this.#observers) observer(record);
    return { applied: true, revision: record.revision };
  }

  forget(key: string, upToRevision: number): void {
    const record = this.#records.get(key);
    if (record !== undefined && record.revision <= upToRevision) this.#records.delete(key);
  }

  observe(observer: RecordObserver): void {
    this.#observers.add(observer);
  }

  unobserve(observer: RecordObserver): void {
    this.#observers.delete(observer);
  }

  /** Puts an old backup in place of everything, or nothing at all; revisions go on from there. Watches are not told. */
  restore(backup: readonly StoredRecord[]): void {
    this.#records = new Map(backup.map((record) => [record.key, record]));
    this.#lastRevision = backup.reduce((highest, record) => Math.max(highest, record.revision), 0);
  }
}
