import type { RecordListener, StoredRecord } from '../contract/record-store.ts';
import { type Incarnated, parseShard, type ShardRecord, shardKey } from './records.ts';

export interface ShardEntry {
  readonly record: ShardRecord;
  readonly revision: number;
}

/**
 * The shard records as last heard of, the latest by epoch and within an epoch by revision (a store that is lost and made anew counts
 * revisions from 1 again, epochs go on). Stale pictures only delay: each change is a compare-and-set on `revision`.
 */
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

  /**
   * Whether the shard's record names this transfer, or may do so once more of it is heard of: its sender owned the shard under this epoch.
   * News of members may come long before those of shards.
   */
  mayName(transfer: string, shard: number, epoch: number): boolean {
    const record = this.#entries[shard]?.record;
    if (record === undefined || record.epoch < epoch || record.transfer === transfer) return true;
    return record.epoch === epoch && record.state === 'owned';
  }

  owners(): Incarnated[] {
    const owners = new Map<string, Incarnated>();
    for (const entry of this.#entries) {
      if (entry && entry.record.state !== 'free') owners.set(entry.record.incarnation, entry.record);
    }
    return [...owners.values()];
  }

  /** Every incarnation that a record names, as owner or as successor. */
  named(): Incarnated[] {
    const named = this.owners();
    for (const entry of this.#entries) if (entry?.record.successor) named.push(entry.record.successor);
    return named;
  }

  onRecord(stored: StoredRecord): void {
    const entry = this.#parse(stored);
    if (!entry) return;
    const { record, revision } = entry;
    const before = this.#entries[record.shard];
    if (before && (before.record.epoch > record.epoch || (before.record.epoch === record.epoch && before.revision >= revision))) return;
    this.#entries[record.shard] = entry;
    this.#onChange(entry);
  }

  /** The store was set back: it holds an older record of this shard, or none. */
  setBack(shard: number, to: StoredRecord | undefined): void {
    const entry = to && this.#parse(to);
    this.#entries[shard] = entry;
    if (entry) this.#onChange(entry);
  }

  #parse(stored: StoredRecord): ShardEntry | undefined {
    const record = parseShard(stored.value);
    if (!record || stored.key !== shardKey(record.shard) || record.shard >= this.#entries.length || record.shard < 0) return undefined;
    return { record, revision: stored.revision };
  }

  onSynced(): void {
    this.#synced = true;
    this.#onSynced();
  }
}
