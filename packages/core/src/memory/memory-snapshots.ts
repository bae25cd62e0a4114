import { PerkeyError } from '../base/errors.ts';
import type { StreamName } from '../contract/commit-log.ts';
import type { Snapshot, SnapshotStore } from '../contract/store.ts';
import type { StoreAnswers } from './store-answers.ts';

/** The snapshots of one cluster by type and key, the newest first. */
export type SnapshotTable = Map<string, Map<string, readonly Snapshot[]>>;

export class MemorySnapshots implements SnapshotStore {
  readonly bodyBytesMax: number;
  readonly #table: SnapshotTable;
  readonly #answers: StoreAnswers;

  constructor(table: SnapshotTable, answers: StoreAnswers, bodyBytesMax: number) {
    this.#table = table;
    this.#answers = answers;
    this.bodyBytesMax = bodyBytesMax;
  }

  save({ type, key }: StreamName, snapshot: Snapshot, kept: number): Promise<void> {
    const { length } = snapshot.body;
    if (length > this.bodyBytesMax) {
      return Promise.reject(new PerkeyError('payload.too_large', `the snapshot has ${length} bytes, ${this.bodyBytesMax} fit`));
    }
    return this.#answers.answer(() => {
      let keys = this.#table.get(type);
      if (keys === undefined) this.#table.set(type, (keys = new Map()));
      const others = (keys.get(key) ?? []).filter((other) => other.sequence !== snapshot.sequence);
      const sorted = [...others, snapshot].sort((a, b) => b.sequence - a.sequence);
      keys.set(key, sorted.slice(0, Math.max(1, kept)));
    });
  }

  load({ type, key }: StreamName, max: number = Infinity): Promise<readonly Snapshot[]> {
    return this.#answers.answer(() => (this.#table.get(type)?.get(key) ?? []).slice(0, max));
  }

  forget({ type, key }: StreamName): Promise<void> {
    return this.#answers.answer(() => void this.#table.get(type)?.delete(key));
  }
}
