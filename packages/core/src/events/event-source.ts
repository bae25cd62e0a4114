import type { EventBatch, EventRead } from './event-reads.ts';

/** Where projections read: an event store. Rejects with `store.unavailable` when the store does not answer; slow readers hold it back. */
export interface EventSource {
  subscribe(read: EventRead): AsyncIterable<EventBatch>;
  /** A position behind everything that is stored. May lag. */
  end(): Promise<number>;
}
