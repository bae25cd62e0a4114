export type StoreName = 'members' | 'shards';

/** One write that was applied, or one record that was forgotten (then without a value). */
export interface HistoryEntry {
  readonly cluster: string;
  readonly store: StoreName;
  /** The node whose control link it came by. */
  readonly by: string;
  readonly key: string;
  readonly value: string | undefined;
  readonly revision: number;
  /** By the clock of the transport, in ms. */
  readonly atMs: number;
}

/** Everything that was written through a faulty transport, in the order of its answers: what ownership is judged by after a test. */
export class RecordHistory {
  #entries: HistoryEntry[] = [];

  get entries(): readonly HistoryEntry[] {
    return this.#entries;
  }

  add(entry: HistoryEntry): void {
    this.#entries.push(entry);
  }

  /** Forgets everything: the stores were set back, and revisions begin to repeat. */
  clear(): void {
    this.#entries = [];
  }

  /** What was written under `key`, by rising revision. */
  of(store: StoreName, key: string): readonly HistoryEntry[] {
    const entries = this.#entries.filter((entry) => entry.store === store && entry.key === key && entry.value !== undefined);
    return entries.sort((a, b) => a.revision - b.revision);
  }

  /** The record as the first `length` entries left it. */
  asOf(length: number, cluster: string, store: StoreName, key: string): { key: string; value: string; revision: number } | undefined {
    let latest: HistoryEntry | undefined;
    for (const entry of this.#entries.slice(0, length)) {
      const isOfKey = entry.cluster === cluster && entry.store === store && entry.key === key;
      if (isOfKey && entry.revision >= (latest?.revision ?? 0)) latest = entry;
    }
    return latest?.value === undefined ? undefined : { key, value: latest.value, revision: latest.revision };
  }
}
