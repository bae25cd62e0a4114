import type { RecordListener, StoredRecord } from '../contract/record-store.ts';
import type { Deliveries } from './deliveries.ts';
import type { CallbackGuard } from './guarded-callback.ts';
import type { RecordTable } from './record-table.ts';

type Notice = StoredRecord | 'synced';

/** One listener to a record table: delivers in the order of writes, what was written in one turn of the event loop together. */
export class RecordWatch {
  readonly #table: RecordTable;
  readonly #deliveries: Deliveries;
  readonly #listener: RecordListener;
  readonly #guard: CallbackGuard;
  readonly #observer = (record: StoredRecord): void => this.#push(record);
  /** Rises with each attach and detach: what was queued before is not delivered after. */
  #attachment = 0;
  #queue: Notice[] = [];

  constructor(table: RecordTable, deliveries: Deliveries, listener: RecordListener, guard: CallbackGuard) {
    this.#table = table;
    this.#deliveries = deliveries;
    this.#listener = listener;
    this.#guard = guard;
  }

  attach(): void {
    this.detach();
    for (const record of [...this.#table.records()].sort((a, b) => a.revision - b.revision)) this.#push(record);
    this.#push('synced');
    this.#table.observe(this.#observer);
  }

  detach(): void {
    this.#attachment += 1;
    this.#queue = [];
    this.#table.unobserve(this.#observer);
  }

  #push(notice: Notice): void {
    if (this.#deliveries === undefined) {
      this.#tell(notice);
      return;
    }
    this.#queue.push(notice);
    if (this.#queue.length > 1) return;
    const attachment = this.#attachment;
    this.#deliveries(() => {
      if (this.#attachment === attachment) this.#deliver(attachment);
    });
  }

  #deliver(attachment: number): void {
    const batch = this.#queue;
    this.#queue = [];
    for (const notice of batch) {
      if (this.#attachment !== attachment) return;
      this.#tell(notice);
    }
  }

  #tell(notice: Notice): void {
    if (notice === 'synced') this.#guard.call('onSynced', () => this.#listener.onSynced());
    else this.#guard.call('onRecord', () => this.#listener.onRecord(notice));
  }
}
