/** A value with the revision at which it was written. Revisions rise with every write to the store. */
export interface StoredRecord {
  readonly key: string;
  readonly value: string;
  readonly revision: number;
}

/**
 * `applied`: the write is in the store at this revision.
 * `refused`: the store said that the expected revision was not the latest. This alone proves nothing: the write may be one's own,
 * applied by an earlier attempt. Read again and recognise one's own value.
 */
export type WriteOutcome = { readonly applied: true; readonly revision: number } | { readonly applied: false };

export interface RecordListener {
  /**
   * A record as of a revision, in rising order of revision over all keys: whoever sees a write has been shown what was written before it.
   * Steps of a key may be left out, its last one never. A restart begins again with all that exists.
   */
  onRecord(record: StoredRecord): void;
  /** All records that existed when the watch (re)started were delivered. Called again after each reconnect. */
  onSynced(): void;
}

export interface Watch {
  stop(): void;
}

/**
 * A small set of records with compare-and-set. Keys are made of `[A-Za-z0-9_.-]`, chosen by the runtime, never by a user.
 * Every method rejects with `store.unavailable` when the store did not answer: a write then may or may not have been applied.
 * No decision may rest on `read` or on a watch alone: both may be stale. Only an applied write proves what it replaced.
 */
export interface RecordStore {
  read(key: string): Promise<StoredRecord | undefined>;
  /** Writes if the latest revision of `key` is `expectedRevision`; 0 means that the key does not exist. */
  write(key: string, value: string, expectedRevision: number): Promise<WriteOutcome>;
  /** Removes the record if its revision is at most `upToRevision`; a newer one stays. Watches are not told. */
  forget(key: string, upToRevision: number): Promise<void>;
  /** Starts to deliver; resolves when the watch is set up (not yet synced). Survives reconnects. */
  watch(listener: RecordListener): Promise<Watch>;
}
