import type { RecordListener, StoredRecord } from '../contract/record-store.ts';
import { type Incarnated, parseShard, type ShardRecord, shardKey } from './records.ts';

export interface ShardEntry {
  readonly record: ShardRecord;
  readonly revision: number;
}

/** What to claim a shard from: a record, or only the revision at which the store has something else than what was known of it. */
export interface ClaimedFrom {
  readonly record: ShardRecord | undefined;
  readonly revision: number;
}

/**
 * The shard records as last heard of, the latest by epoch and within an epoch by revision (a store that is lost and made anew counts
 * revisions from 1 again, epochs go on). Stale pictures only delay: each change is a compare-and-set on `revision`.
 */
export class ShardTable implements RecordListener {
  readonly #entries: (ShardEntry | undefined)[];
  /** As of the entries; none after one of them changed. */
  #named: readonly Incarnated[] | undefined;
  /** The highest epoch of each shard that was ever heard of, also from a store that was set back since. */
  readonly #highest: number[] = [];
  /** In the course of which listing each entry was learned. */
  readonly #learnedIn: number[] = [];
  /** What the watch has told in the current listing and since. */
  #told: (ShardEntry | undefined)[] = [];
  #lastTold = 0;
  #hasTold = false;
  /** Counts how often the watch has begun anew, with all that exists. */
  #listing = 0;
  #listed = -1;
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

  /** 0 where none was heard of. */
  highestEpoch(shard: number): number {
    return this.#highest[shard] ?? 0;
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

  /** Every incarnation that a record names, as owner or as successor. */
  named(): readonly Incarnated[] {
    return (this.#named ??= this.#listNamed());
  }

  #listNamed(): readonly Incarnated[] {
    const named = new Map<string, Incarnated>();
    for (const entry of this.#entries) {
      if (!entry) continue;
      const { record } = entry;
      if (record.state !== 'free') named.set(record.incarnation, record);
      if (record.successor) named.set(record.successor.incarnation, record.successor);
    }
    return [...named.values()];
  }

  /**
   * The store was set back: asked for all records, after it had taken what is known here of this shard, it showed an older one or none; or it has
   * taken an older one since. To be claimed from what it has. It may also be a stale answer (H3); then the claim is refused.
   */
  setBackTo(shard: number): ClaimedFrom | undefined {
    const entry = this.#entries[shard];
    const told = this.#told[shard];
    if (told && this.#isOverwritten(shard)) return { record: undefined, revision: told.revision };
    if (!entry || this.#listed !== this.#listing || (this.#learnedIn[shard] ?? 0) >= this.#listing) return undefined;
    const { epoch } = entry.record;
    if (told && (told.record.epoch > epoch || (told.record.epoch === epoch && told.revision >= entry.revision))) return undefined;
    return { record: undefined, revision: told?.revision ?? 0 };
  }

  /**
   * Each record is written upon the one before it, with an epoch that is not below. One that is falls from before the store was set back: the revision
   * that it was to be written upon was given once more.
   */
  #isOverwritten(shard: number): boolean {
    const [entry, told] = [this.#entries[shard], this.#told[shard]];
    if (!entry || !told || this.#learnedIn[shard] !== this.#listing) return false;
    return told.revision > entry.revision && told.record.epoch < entry.record.epoch;
  }

  /** From the watch. */
  onRecord(stored: StoredRecord): void {
    if (stored.revision <= this.#lastTold) this.#beginListing();
    this.#lastTold = stored.revision;
    this.#hasTold = true;
    this.learn(stored);
  }

  /** What the store was seen to have, by whatever way. */
  learn(stored: StoredRecord): void {
    const entry = this.#parse(stored);
    if (!entry) return;
    const { record, revision } = entry;
    if (record.epoch > this.highestEpoch(record.shard)) this.#highest[record.shard] = record.epoch;
    if (revision > (this.#told[record.shard]?.revision ?? -1)) this.#told[record.shard] = entry;
    const before = this.#entries[record.shard];
    if (before && (before.record.epoch > record.epoch || (before.record.epoch === record.epoch && before.revision >= revision))) {
      if (this.#isOverwritten(record.shard)) this.#onChange(before);
      return;
    }
    this.#entries[record.shard] = entry;
    this.#named = undefined;
    this.#learnedIn[record.shard] = this.#listing;
    this.#onChange(entry);
  }

  /** The store was set back: it holds an older record of this shard, or none. */
  setBack(shard: number, to: StoredRecord | undefined): void {
    this.#replace(shard, to && this.#parse(to));
  }

  /** What `setBackTo` found is what the store has, and nobody is left who would say anything else. */
  acceptSetBack(shard: number): void {
    this.#replace(shard, this.#told[shard]);
  }

  #replace(shard: number, entry: ShardEntry | undefined): void {
    this.#entries[shard] = entry;
    this.#named = undefined;
    if (entry) this.#onChange(entry);
  }

  #beginListing(): void {
    this.#listing += 1;
    this.#told = [];
  }

  #parse(stored: StoredRecord): ShardEntry | undefined {
    const record = parseShard(stored.value);
    if (!record || stored.key !== shardKey(record.shard) || record.shard >= this.#entries.length || record.shard < 0) return undefined;
    return { record, revision: stored.revision };
  }

  onSynced(): void {
    // A store that is empty tells nothing.
    if (!this.#hasTold && this.#synced) this.#beginListing();
    this.#hasTold = false;
    this.#listed = this.#listing;
    this.#synced = true;
    this.#onSynced();
  }
}
