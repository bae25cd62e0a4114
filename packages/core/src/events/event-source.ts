import type { EventBatch, EventRead } from './event-reads.ts';

/** Where projections read: an event store. Rejects with `store.unavailable` when the store does not answer; slow readers hold it back. */
export interface EventSource {
  subscribe(read: EventRead): AsyncIterable<EventBatch>;
  /** A position behind everything that is stored. May lag. */
  end(): Promise<number>;
  /** A position that nothing is behind which was acknowledged to anybody before the call, by the store's own word. Rejects with `store.full` too. */
  barrier(): Promise<number>;
}
