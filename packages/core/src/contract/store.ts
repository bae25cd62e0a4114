import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import type { Random } from '../base/random.ts';
import type { CommitLog, StreamName } from './commit-log.ts';
import type { RecordStore, StoredRecord } from './record-store.ts';

export interface Snapshot {
  /** Sequence in the log of the record up to which the snapshot covers its stream. */
  readonly sequence: number;
  /** Opaque to the store. */
  readonly body: Uint8Array;
}

/** Shortens replay; never the truth. May lose what it holds at any time. */
export interface SnapshotStore {
  /** Largest `body`, in bytes. */
  readonly bodyBytesMax: number;
  /** Keeps the stream's `kept` newest ones, this one among them. Rejects with `store.unavailable`; with `payload.too_large` for a larger body. */
  save(stream: StreamName, snapshot: Snapshot, kept: number): Promise<void>;
  /** Those that are there, the newest first, at most `max` of them. Rejects with `store.unavailable`. */
  load(stream: StreamName, max?: number): Promise<readonly Snapshot[]>;
  /** Removes all of the stream's. */
  forget(stream: StreamName): Promise<void>;
}

/** Small records with compare-and-set, found by the beginning of their key: checkpoints, and which actors have to be woken. */
export interface KeptRecords extends Pick<RecordStore, 'read' | 'write' | 'forget'> {
  /** Records whose key begins with `prefix` (which ends with a dot), in any order. May be stale, like `read`. */
  list(prefix: string): AsyncIterable<readonly StoredRecord[]>;
}

/** What acknowledged means. */
export interface Durability {
  /** What was acknowledged survives the end of any process, of the store's too. */
  readonly survivesKill: boolean;
  /** It survives the loss of power of the store's machine; `unknown` where the store does not tell its settings. */
  readonly survivesPowerLoss: boolean | 'unknown';
  /** One sentence for the log and for people, with what to change where something is missing. */
  readonly text: string;
}

/** A store, open on one node. */
export interface OpenStore {
  /** Who holds the data, where only this node can reach it; undefined for a store that all nodes of the cluster share. Never changes for one store. */
  readonly privateId: string | undefined;
  /** The shards of which it holds records. Asked once, of private stores, before the node takes shards. */
  shardsHeld(): Promise<readonly number[]>;
  readonly durability: Durability;
  /** Keeps every record. */
  readonly events: CommitLog;
  /** Keeps the last record of each stream only; a read gives at least that one, but may miss one that is replaced while it goes on. */
  readonly states: CommitLog;
  readonly snapshots: SnapshotStore;
  readonly records: KeptRecords;
  /** Answers what is under way, then closes. Idempotent. */
  close(): Promise<void>;
}

export interface StoreEnvironment {
  readonly cluster: string;
  readonly nodeId: string;
  /** How many shards the cluster has. A private store that was written under another number or for another cluster refuses with `store.mismatch`. */
  readonly shards: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly connectTimeoutMs: number;
}

/** Where durable actors keep what they are. */
export interface Store {
  readonly name: string;
  /** Opens what is there or creates it. Rejects with `store.unavailable`, `store.mismatch`, `store.refused`, `transport.connect_timeout`, `transport.refused` or `transport.no_jetstream`. */
  open(environment: StoreEnvironment): Promise<OpenStore>;
}
