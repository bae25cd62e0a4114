import type { CodecLimits } from '../base/codec-limits.ts';
import { defaultCodecLimits } from '../base/codec-limits.ts';
import type { StreamName } from '../contract/commit-log.ts';
import type { EventMetadata, StoredEvent } from './stored-event.ts';

/** The form that is written. Others are refused when they are read. */
export const commitFormat = 1;
/** Parts of a record of this form. */
export const partsOfRecord = 12;
/** The most events of one commit. Positions leave room for hardly more. */
export const eventsInCommitMax = 1_000;
/** In the order of their numbers in a record. */
export const commitKinds = ['commit', 'fence', 'tombstone', 'state'] as const;

/**
 * `commit`: what one command decided. `fence`: nothing but the epoch of a new owner, so that no late append of a former one is applied.
 * `tombstone`: the stream has ended. `state`: a whole state, in the log of states.
 */
export type CommitKind = (typeof commitKinds)[number];

/** Bounds of one record; the log's `bodyBytesMax` binds long before. */
export const commitLimits: CodecLimits = Object.freeze({ ...defaultCodecLimits, nodesMax: 200_000 });

/**
 * The last record of a stream as far as its holder knows: what an append expects and gives anew. Plain data.
 * All that an owner may base a commit on; whether it is still the last one, only the log decides.
 */
export interface StreamHead {
  /** 0: the stream has no record. */
  readonly sequence: number;
  /** Of the last event. */
  readonly version: number;
  /** The highest epoch under which the stream was written. */
  readonly epoch: number;
  /** Who wrote the last record: node id and incarnation, with a slash between. */
  readonly owner: string;
  /** 128 bits of the SHA-256 of the last record's body, in hexadecimal. */
  readonly hash: string;
  /** True after a tombstone: nothing can be appended any more. */
  readonly ended: boolean;
}

/** The head of a stream without records. */
export const noHead: StreamHead = Object.freeze({ sequence: 0, version: 0, epoch: 0, owner: '', hash: '', ended: false });

/** Who commits. */
export interface CommitAuthor {
  /** The epoch of the stream's shard under which its owner acts. */
  readonly epoch: number;
  readonly owner: string;
}

export interface EventDraft {
  readonly name: string;
  readonly schema: number;
  /** Plain data. */
  readonly data: unknown;
}

/** The outcome of a command, to be given again to a repeat with its idempotency key. */
export interface CommittedReply {
  readonly idempotencyKey: string;
  readonly method: string;
  readonly caller: string;
  /** Plain data; opaque here. */
  readonly outcome: unknown;
}

/** A reminder that is set, replaced, or (without a value) cancelled. */
export interface ReminderChange {
  readonly name: string;
  /** Plain data; opaque here. Absent: the reminder ends. */
  readonly reminder?: unknown;
}

/** What a commit records beside its events. */
export interface CommitNotes {
  readonly reply?: CommittedReply | undefined;
  /** Messages to be sent, plain data; opaque here. Numbered on over all commits of the stream. */
  readonly outbox?: readonly unknown[] | undefined;
  /** Every outbox message up to this number has been dealt with. */
  readonly delivered?: number | undefined;
  readonly reminders?: readonly ReminderChange[] | undefined;
}

/** What one command decided. */
export interface CommitDraft extends CommitNotes {
  /** Unique; for a command with an idempotency key the same at each repeat: see `EventStore.commitId`. */
  readonly id: string;
  /** Ms since 1970. */
  readonly at: number;
  readonly events: readonly EventDraft[];
  readonly metadata?: EventMetadata | undefined;
}

/** One record of a stream, read. */
export interface Commit extends StreamName {
  readonly kind: CommitKind;
  readonly sequence: number;
  /** Of the last event of the stream after it. */
  readonly version: number;
  readonly epoch: number;
  readonly owner: string;
  readonly id: string;
  readonly at: number;
  /** The hash of the stream's record before; '' in its first one. */
  readonly previousHash: string;
  /** As they were stored: data of old versions is not yet led to the present one. */
  readonly events: readonly StoredEvent[];
  readonly metadata: EventMetadata;
  /** Decoded when asked for. Throws `stream.corrupt`. */
  notes(): CommitNotes;
  /** Of a `state`: what was kept. Decoded when asked for. Throws `stream.corrupt`. */
  state(): KeptState;
  /** The bytes as the log gave them. */
  readonly body: Uint8Array;
}

/** What a record of kind `state` holds. Both are plain data. */
export interface KeptState {
  readonly state: unknown;
  readonly bookkeeping: unknown;
}
