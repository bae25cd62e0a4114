/** Whose history it is: an actor type and a key. The key may be any well-formed text. */
export interface StreamName {
  readonly type: string;
  readonly key: string;
}

/** One record of a stream. */
export interface LogRecord {
  /** Rises with every record of the log, over all streams; not dense; at most 2^42. */
  readonly sequence: number;
  /** Opaque to the log. Neither side changes the bytes. */
  readonly body: Uint8Array;
}

export interface LogAppend {
  readonly stream: StreamName;
  /** The stream's shard, for logs that keep shards apart. */
  readonly shard: number;
  /** The sequence of the stream's last record, as an append or a read told it; 0 where the stream has none. */
  readonly expectedSequence: number;
  /** At least the epoch of the stream's last record. A log that can compare them refuses a lower one as a conflict. */
  readonly epoch: number;
  readonly body: Uint8Array;
}

/**
 * `appended`: the record is in the log, as lasting as the log's settings make it.
 * `conflict`: the log said that the stream's last record is another. This alone proves nothing: it may be one's own, from an earlier attempt.
 * `refused`: the record is not in the log and never will be.
 * `unknown`: the record may be in the log, or come into it later. An applied append with the same expectation settles it.
 */
export type AppendOutcome =
  | { readonly kind: 'appended'; readonly sequence: number }
  | { readonly kind: 'conflict' }
  | { readonly kind: 'refused'; readonly reason: RefusedAppend; readonly text: string }
  | { readonly kind: 'unknown'; readonly text: string };

/** Is told what became of an append. Must not throw. */
export interface AppendListener {
  onOutcome(outcome: AppendOutcome): void;
}

export type RefusedAppend = 'unavailable' | 'full' | 'too_large';

/** Which records a read gives; both filters together mean both. */
export interface LogFilter {
  /** Records of these actor types; all where it is absent. */
  readonly types?: readonly string[] | undefined;
  /** Records of this stream. */
  readonly stream?: StreamName | undefined;
}

export interface LogRead extends LogFilter {
  /** Records of a higher sequence; 0 for all. */
  readonly after: number;
  /** Most records in one batch; at least 1. */
  readonly batchMax: number;
  /** Goes on with what is appended, until the signal aborts; without it the read ends with the records that it found at its beginning. */
  readonly follow?: boolean | undefined;
  /** Ends the read without an error. */
  readonly signal?: AbortSignal | undefined;
  /** More than a few records are expected, so that it is worth it to prepare for them. Never changes what is given. */
  readonly many?: boolean | undefined;
  /**
   * Of a read of one stream: that the stream has no record at all is said only by a log that shows, with the same answer, that it has reached
   * this sequence; else the read rejects with `store.unavailable`, or as this does. Asked for only where no record was found, and only by logs
   * of which several copies may answer.
   */
  readonly reached?: (() => Promise<number>) | undefined;
}

export interface LogBatch {
  /** In the order of their sequences. Empty only in a batch that says something new by `live` or `through`. */
  readonly records: readonly LogRecord[];
  /** Everything that fits the filter up to this sequence has been given; at least the last record's sequence. */
  readonly through: number;
  /** Nothing more was in the log when this batch was read. */
  readonly live: boolean;
}

/**
 * A log of records in streams. The record is the unit of everything: it is stored whole or not at all, and its stream's last sequence is compared
 * when it is stored. Laws, held by the contract suite:
 * of two appends with one expectation at most one is applied;
 * a record, once given by any read, never changes and never goes, except by `trim`;
 * a read that begins after an append through this same object was answered `appended` gives that record;
 * a read of one stream begins where the log's own leader is, never from a copy that may lag behind what this object was told;
 * a read with `reached` that gives no record of its stream proves that no record of it lies at or below that sequence.
 */
export interface CommitLog {
  /** Largest `body`, in bytes. */
  readonly bodyBytesMax: number;
  /** Never rejects. Appends of different streams do not wait for each other's answers. */
  append(append: LogAppend): Promise<AppendOutcome>;
  /**
   * The same for those who have very many: a call in the place of a promise, made once, in the step in which the outcome is known, which may be
   * before this returns. Where it is left out, `append` serves.
   */
  send?(append: LogAppend, listener: AppendListener): void;
  /** Rejects with `store.unavailable` when the log does not answer. Slow consumers hold the read back, they do not fill the memory. */
  read(read: LogRead): AsyncIterable<LogBatch>;
  /** The highest sequence of the log, 0 while it is empty. May lag. */
  last(): Promise<number>;
  /**
   * A sequence above which no record lies that was acknowledged to anybody before the call. It is the log's own word, never that of a copy which
   * may lag: a log of several copies appends something for it that no read gives. Rejects with `store.unavailable`, or with `store.full` where
   * there is no room for that.
   */
  barrier(): Promise<number>;
  /** Removes the stream's records below `before`, for good. The last record of a stream always stays. Repeating it changes nothing. */
  trim(stream: StreamName, before: number): Promise<void>;
}
