import type { HistoryOptions } from '../actor/aggregate-context.ts';
import type { StreamName } from '../contract/commit-log.ts';
import type { EventCatalogue } from '../events/event-catalogue.ts';
import type { EventStore } from '../events/event-store.ts';
import type { StoredEvent } from '../events/stored-event.ts';

const limitDefault = 100;
const limitMax = 1_000;

/** Which part of a history: the events of the versions above `after`, at most `limit` of them. */
export interface HistoryRange {
  readonly after: number;
  readonly limit: number;
}

/** Throws `RangeError` for what is no version, and for a limit out of its bounds. */
export function historyRange({ after = 0, limit = limitDefault }: HistoryOptions): HistoryRange {
  if (!Number.isSafeInteger(after) || after < 0) throw new RangeError('history: after is the version of an event, 0 or more');
  if (!Number.isInteger(limit) || limit < 1 || limit > limitMax) {
    throw new RangeError(`history: limit is a number of events from 1 to ${limitMax}`);
  }
  return { after, limit };
}

export interface HistoryRead {
  readonly events: EventStore;
  readonly catalogue: EventCatalogue;
  readonly stream: StreamName;
  /** The version that is in memory: what was stored behind it is not given, so that the history fits the state beside it. */
  readonly version: number;
  readonly range: HistoryRange;
  readonly signal: AbortSignal;
}

/** Reads from the beginning of the stream, whatever `after` is. Rejects with the signal's reason, `event.unknown`, `stream.corrupt`, `store.unavailable`. */
export async function readHistory({ events, catalogue, stream, version, range, signal }: HistoryRead): Promise<readonly StoredEvent[]> {
  const { after, limit } = range;
  const last = Math.min(version, after + limit);
  const found: StoredEvent[] = [];
  if (last <= after) return found;
  for await (const batch of events.readAll({ stream, signal })) {
    for (const event of batch.events) {
      if (event.version > after && event.version <= last) found.push(catalogue.lead(event));
    }
    if ((batch.events.at(-1)?.version ?? 0) >= last) break;
  }
  signal.throwIfAborted();
  return found;
}
