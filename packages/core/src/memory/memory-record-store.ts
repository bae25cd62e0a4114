import { PerkeyError } from '../base/errors.ts';
import type { RecordListener, RecordStore, StoredRecord, Watch, WriteOutcome } from '../contract/record-store.ts';
import type { Deliveries } from './deliveries.ts';
import type { CallbackGuard } from './guarded-callback.ts';
import { RecordWatch } from './record-watch.ts';
import type { RecordTable } from './record-table.ts';

const keyPattern = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/;

/** The connection that a store's calls travel on. */
export interface StoreConnection {
  readonly up: boolean;
  /** Another number after each loss. */
  readonly connection: number;
}

/**
 * One member's view of a record table. A call takes effect at once, as bytes do that are already with the broker; its answer comes
 * a turn of the event loop later, and not at all when the connection is lost before: then it rejects with `store.unavailable`.
 */
export class MemoryRecordStore implements RecordStore {
  readonly #table: RecordTable;
  readonly #deliveries: Deliveries;
  readonly #connection: StoreConnection;
  readonly #guard: CallbackGuard;
  readonly #watches = new Set<RecordWatch>();

  constructor(table: RecordTable, deliveries: Deliveries, connection: StoreConnection, guard: CallbackGuard) {
    this.#table = table;
    this.#deliveries = deliveries;
    this.#connection = connection;
    this.#guard = guard;
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

  async watch(listener: RecordListener): Promise<Watch> {
    const watch = new RecordWatch(this.#table, this.#deliveries, listener, this.#guard);
    const stop = (): void => {
      this.#watches.delete(watch);
      watch.detach();
    };
    const start = (): void => {
      this.#watches.add(watch);
      watch.attach();
    };
    await this.#answered(start).catch((error: unknown) => {
      stop();
      throw error;
    });
    return { stop };
  }

  /** The connection stands again: every watch starts anew, from all records. */
  attached(): void {
    for (const watch of this.#watches) watch.attach();
  }

  detached(): void {
    for (const watch of this.#watches) watch.detach();
  }

  async #ask<T>(key: string, run: () => T): Promise<T> {
    checkRecordKey(key);
    return this.#answered(run);
  }

  #answered<T>(run: () => T): Promise<T> {
    const { up, connection } = this.#connection;
    if (!up) return Promise.reject(unavailable('the connection to the in-process broker is down'));
    const answer = run();
    const deliveries = this.#deliveries;
    if (deliveries === undefined) return Promise.resolve(answer);
    return new Promise((resolve, reject) => {
      deliveries(() => {
        if (this.#connection.up && this.#connection.connection === connection) resolve(answer);
        else reject(unavailable('the connection to the in-process broker was lost before the answer came'));
      });
    });
  }
}

/** Throws a RangeError for what cannot be a key of a record store. */
export function checkRecordKey(key: string): void {
  if (!keyPattern.test(key)) throw new RangeError(`not a key of a record store: ${JSON.stringify(key.slice(0, 64))}`);
}

function unavailable(message: string): PerkeyError {
  return new PerkeyError('store.unavailable', message);
}
