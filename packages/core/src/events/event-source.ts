import type { StoredEvent } from './stored-event.ts';

export interface EventRead {
  /** Events of a higher position; 0 for all. */
  readonly after: number;
  /** Only those of these actor types. */
  readonly types?: readonly string[] | undefined;
  readonly batchMax: number;
  /** Goes on with what is appended, until the signal aborts. */
  readonly follow?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface EventBatch {
  /** In the order of their positions. */
  readonly events: readonly StoredEvent[];
  /** Everything up to this position was given; at least the last event's. */
  readonly through: number;
  /** Nothing more was in the store when this batch was read. */
  readonly live: boolean;
}

/** Where projections read. Rejects with `store.unavailable` when the store does not answer; slow readers hold it back. */
export interface EventSource {
  read(read: EventRead): AsyncIterable<EventBatch>;
  /** A position behind everything that is in the store. May lag. */
  end(): Promise<number>;
}
