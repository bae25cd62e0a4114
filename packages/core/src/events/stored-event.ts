/** Who and what stands behind a command; recorded with its commit. */
export interface EventMetadata {
  /** What all commands and events of one story share. */
  readonly correlation?: string | undefined;
  /** The command or event that led to this one. */
  readonly causation?: string | undefined;
  /** W3C trace context (`traceparent`). */
  readonly trace?: string | undefined;
  /** On whose behalf. */
  readonly principal?: string | undefined;
}

export const noMetadata: EventMetadata = Object.freeze({});

/** What has happened, as it was stored. Parts of it may be read when they are asked for, so that a spread copies not all of it; `JSON.stringify` has all. */
export interface StoredEvent {
  /** The id of the commit and the index of the event in it. The same for every repeat of a command with an idempotency key. */
  readonly id: string;
  /** Rises with every event of the store; a safe integer. Not dense. */
  readonly position: number;
  /** Number of the event in its stream, from 1, without gaps. */
  readonly version: number;
  /** The actor type. */
  readonly type: string;
  readonly key: string;
  readonly event: string;
  /** Version of the event's schema that `data` fits. */
  readonly schema: number;
  /** When it was raised by the clock of its node, in ms since 1970. May fall from one event to the next. */
  readonly at: number;
  readonly data: unknown;
  readonly metadata: EventMetadata;
}

/** More than any commit has events. */
const positionsPerRecord = 1_024;

/** The position of an event: the sequence of its record in the log, and its index in the commit. */
export function positionOf(sequence: number, index: number): number {
  return sequence * positionsPerRecord + index;
}

/** The record of a position, and which of its events it is. */
export function placeOf(position: number): { readonly sequence: number; readonly index: number } {
  return { sequence: Math.floor(position / positionsPerRecord), index: position % positionsPerRecord };
}

/** The position behind everything in the record. */
export function positionAfter(sequence: number): number {
  return sequence * positionsPerRecord + positionsPerRecord - 1;
}

/** The highest sequence of which nothing is left after `position`: where a read of the log begins. */
export function sequenceBefore(position: number): number {
  const sequence = Math.floor(position / positionsPerRecord);
  return position % positionsPerRecord === positionsPerRecord - 1 ? sequence : Math.max(0, sequence - 1);
}
