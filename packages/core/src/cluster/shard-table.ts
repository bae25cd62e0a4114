import type { RecordListener, StoredRecord } from '../contract/record-store.ts';
import { type Incarnated, parseShard, type ShardRecord, shardKey } from './records.ts';

export interface ShardEntry {
  readonly record: ShardRecord;
  readonly revision: number;
}

/** The shard records as last heard of. Stale pictures only delay: each change is a compare-and-set on `revision`. */
export class ShardTable implements RecordListener {
  readonly #entries: (ShardEntry | undefined)[];
  readonly #onChange: (entry: ShardEntry) => void;
  readonly #onSynced: () => void;
  #synced = false;

  constructor(shards: number, onChange: (entry: ShardEntry) => void, onSynced: () => void) {
    this.#entries = Array.from({ length: shards });
    this.#onChange = onChange;
    this.#onSynced = onSynced;
  }

  get synced(): boolean {
    return this.#synced;
  }

  get shards(): number {
    return this.#entries.length;
  }

  get(shard: number): ShardEntry | undefined {
    return this.#entries[shard];
  }

  owners(): Incarnated[] {
    const owners = new Map<string, Incarnated>();
    for (const entry of this.#entries) {
      if (entry && entry.record.state !== 'free') owners.set(entry.record.incarnation, entry.record);
    }
    return [...owners.values()];
  }

  onRecord(stored: StoredRecord): void {
    const record = parseShard(stored.value);
    if (!record || stored.key !== shardKey(record.shard) || record.shard >= this.#entries.length || record.shard < 0) return;
    const before = this.#entries[record.shard];
    if (before && before.revision >= stored.revision) return;
    const entry = { record, revision: stored.revision };
    this.#entries[record.shard] = entry;
    this.#onChange(entry);
  }

  onSynced(): void {
    this.#synced = true;
    this.#onSynced();
  }
}
