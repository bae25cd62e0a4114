import type { RecordStore } from '../../contract/record-store.ts';
import { recordStoreWatchCases } from './record-store-watch-cases.ts';
import { recordStoreWriteCases } from './record-store-write-cases.ts';
import { defineSuite } from './suite.ts';
import type { SuiteOptions } from './suite.ts';

export interface RecordStoreSubject {
  readonly store: RecordStore;
  /** The same records through another connection. It is closed with the subject. */
  another?(): Promise<RecordStore>;
  /** Drops the connection of `store`, and resolves when it stands again. */
  reconnect?(): Promise<void>;
  /** Idempotent; `store` is closed after it. */
  close(): Promise<void>;
}

/** What every `RecordStore` must do, whatever it is made of. */
export function recordStoreSuite(options: SuiteOptions<RecordStoreSubject>): void {
  defineSuite({ ...recordStoreWriteCases, ...recordStoreWatchCases }, options);
}
