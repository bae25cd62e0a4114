import type { HistoryOptions } from '../actor/aggregate-context.ts';
import type { StreamName } from '../contract/commit-log.ts';
import type { EventCatalogue } from '../events/event-catalogue.ts';
import type { EventStore } from '../events/event-store.ts';
import { placeOf, positionAfter, type StoredEvent } from '../events/stored-event.ts';
import type { HistoryPlace, HistoryPlaces } from './history-places.ts';

const limitDefault = 100;
const limitMax = 1_000;
/** Records read at once. */
const batchMost = 500;

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
  /** Where the read may begin; learns where it has ended. */
  readonly places: HistoryPlaces;
  readonly signal: AbortSignal;
}

/**
 * Reads from the last known place before the range on, and from the beginning where that turns out not to hold all of it. Rejects with the
 * signal's reason, `event.unknown`, `stream.corrupt`, `store.unavailable`.
 */
export async function readHistory(read: HistoryRead): Promise<readonly StoredEvent[]> {
  const { range, version, places } = read;
  const { after, limit } = range;
  const last = Math.min(version, after + limit);
  if (last <= after) return [];
  const from = places.before(after);
  const found = await readFrom(from, last, read);
  return found.length < last - after && from.sequence > 0 ? readFrom(places.forget(), last, read) : found;
}

async function readFrom(from: HistoryPlace, last: number, read: HistoryRead): Promise<readonly StoredEvent[]> {
  const { events, catalogue, stream, range, places, signal } = read;
  const { after } = range;
  const found: StoredEvent[] = [];
  const batchMax = Math.min(batchMost, last - from.version);
  for await (const batch of events.readAll({ stream, after: positionAfter(from.sequence), batchMax, signal })) {
    for (const event of batch.events) {
      if (event.version > after && event.version <= last) found.push(catalogue.lead(event));
    }
    const end = batch.events.findLast((event) => event.version <= last);
    if (end !== undefined) places.note(placeBefore(end));
    if ((batch.events.at(-1)?.version ?? 0) >= last) break;
  }
  signal.throwIfAborted();
  return found;
}

/** The record of the event may hold others that are wanted next. */
function placeBefore({ version, position }: StoredEvent): HistoryPlace {
  const { sequence, index } = placeOf(position);
  return { version: version - index - 1, sequence: sequence - 1 };
}
