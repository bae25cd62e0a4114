import type { CommitLog, StreamName } from '../contract/commit-log.ts';
import type { CommitReader } from './commit-reader.ts';
import type { EventCatalogue } from './event-catalogue.ts';
import type { EventMetrics } from './event-metrics.ts';
import { positionAfter, sequenceBefore } from './stored-event.ts';
import type { StoredEvent } from './stored-event.ts';

/** Which events are read; all filters together mean all of them. */
export interface EventRead {
  /** Events behind this position; 0 for all. */
  readonly after?: number | undefined;
  /** Of these actor types. */
  readonly types?: readonly string[] | undefined;
  /** Of one stream. */
  readonly stream?: StreamName | undefined;
  /** Of these names. */
  readonly events?: readonly string[] | undefined;
  /** Commits read at once; batches are no larger, but for the events of one commit. Default 500. */
  readonly batchMax?: number | undefined;
  /** Leads events of the types that it knows to their present version. */
  readonly catalogues?: ReadonlyMap<string, EventCatalogue> | undefined;
  /** Ends the read without an error. */
  readonly signal?: AbortSignal | undefined;
}

export interface EventBatch {
  /** By position. May be empty. */
  readonly events: readonly StoredEvent[];
  /** Everything up to this position has been given: where to go on after it. */
  readonly through: number;
  /** Nothing more was stored when this batch was read. */
  readonly live: boolean;
}

/** Rejects with `stream.corrupt`, whose details hold the sequence of the record, with `event.unknown`, and with `store.unavailable`. */
export async function* readEvents(
  log: CommitLog,
  reader: CommitReader,
  metrics: EventMetrics,
  read: EventRead,
  follow: boolean,
): AsyncGenerator<EventBatch, void, undefined> {
  const { after = 0, types, stream, events: names, batchMax = 500, catalogues, signal } = read;
  let given = after;
  for await (const batch of log.read({ after: sequenceBefore(after), types, stream, batchMax, follow, signal })) {
    metrics.readRecords.inc(batch.records.length);
    const events: StoredEvent[] = [];
    for (const record of batch.records) {
      for (const event of reader.read(record).events) {
        if (event.position <= after || (names !== undefined && !names.includes(event.event))) continue;
        const catalogue = catalogues?.get(event.type);
        events.push(catalogue === undefined ? event : catalogue.lead(event));
      }
    }
    given = Math.max(given, positionAfter(batch.through));
    yield { events, through: given, live: batch.live };
  }
}
