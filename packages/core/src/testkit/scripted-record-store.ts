import type { Clock } from '../base/clock.ts';
import { PerkeyError } from '../base/errors.ts';
import type { RecordListener, RecordStore, StoredRecord, Watch, WriteOutcome } from '../contract/record-store.ts';
import { RecordTable } from '../memory/record-table.ts';

/** How one write ends; `applied-...` takes effect and is answered so all the same. */
export type WriteEnd = 'as it is' | 'refused' | 'unavailable' | 'applied-refused' | 'applied-unavailable';

export interface WriteStep {
  readonly end?: WriteEnd;
  /** Before the write takes effect, and from then to its answer. */
  readonly beforeMs?: number;
  readonly afterMs?: number;
}

/** What one read is answered with; a string rejects with `store.unavailable`. */
export type ReadStep = 'unavailable' | { readonly sees: StoredRecord | undefined };

/** A record store that does as it is told, write by write and read by read; without being told, what a good one does, at once. */
export class ScriptedRecordStore implements RecordStore {
  readonly table: RecordTable;
  readonly #clock: Clock;
  readonly #writes: WriteStep[] = [];
  readonly #reads: ReadStep[] = [];
  /** For every write and read that no step is left for. */
  always: { write: WriteStep; read?: ReadStep } = { write: {} };
  writesAsked = 0;
  readsAsked = 0;

  constructor(clock: Clock, table: RecordTable = new RecordTable()) {
    this.#clock = clock;
    this.table = table;
  }

  nextWrites(...steps: readonly WriteStep[]): void {
    this.#writes.push(...steps);
  }

  nextReads(...steps: readonly ReadStep[]): void {
    this.#reads.push(...steps);
  }

  async write(key: string, value: string, expectedRevision: number): Promise<WriteOutcome> {
    this.writesAsked += 1;
    const { end = 'as it is', beforeMs = 0, afterMs = 0 } = this.#writes.shift() ?? this.always.write;
    await this.#wait(beforeMs);
    const outcome = end === 'refused' || end === 'unavailable' ? undefined : this.table.write(key, value, expectedRevision);
    await this.#wait(afterMs);
    if (end === 'unavailable' || end === 'applied-unavailable') throw unavailable();
    return end === 'as it is' && outcome ? outcome : { applied: false };
  }

  async read(key: string): Promise<StoredRecord | undefined> {
    this.readsAsked += 1;
    const step = this.#reads.shift() ?? this.always.read;
    await this.#wait(0);
    if (step === 'unavailable') throw unavailable();
    return step ? step.sees : this.table.read(key);
  }

  async forget(key: string, upToRevision: number): Promise<void> {
    await this.#wait(0);
    this.table.forget(key, upToRevision);
  }

  watch(listener: RecordListener): Promise<Watch> {
    const observer = (record: StoredRecord): void => this.#clock.defer(() => listener.onRecord(record));
    this.#clock.defer(() => {
      for (const record of this.table.records()) listener.onRecord(record);
      listener.onSynced();
      this.table.observe(observer);
    });
    return Promise.resolve({ stop: () => this.table.unobserve(observer) });
  }

  #wait(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      if (delayMs > 0) this.#clock.setTimer(delayMs, resolve);
      else this.#clock.defer(resolve);
    });
  }
}

function unavailable(): PerkeyError {
  return new PerkeyError('store.unavailable', 'the store was told not to answer');
}
