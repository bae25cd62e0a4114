/**
 * What the caller of an operation knows of it.
 * `ok`: it was executed and answered. `not executed`: certainly never, not even later. `unknown`: perhaps, perhaps later, at most once.
 */
export type OutcomeKind = 'ok' | 'not executed' | 'unknown';

/** What can be said of an operation before it ends. */
export interface Call {
  /** Who made it. The calls of one client to one key are in order where they have a `seq`. */
  readonly client: string;
  readonly key: string;
  /** What was asked for, in the words of the model: `add`, `read`, `write`, `cas`, `append`. */
  readonly op: string;
  /** Plain data of JSON. */
  readonly input?: unknown;
  /**
   * Names the request. Operations with one `rid` are attempts of one idempotent request, which has one effect and one result; the `rid` of a
   * logged event says which request it belongs to.
   */
  readonly rid?: string;
  /** Rises with each call of this client to this key, in the order in which they were sent. Leave it out where no order was promised. */
  readonly seq?: number;
}

/** What an answer may say of the turn behind it. All of it is optional; what is there is checked. */
export interface Answer {
  /** Plain data of JSON, in the words of the model. */
  readonly output?: unknown;
  /** Under which epoch of the shard it was executed. */
  readonly epoch?: number;
  /** The incarnation that executed it. */
  readonly by?: string;
  /** Which life of the state it was executed on, by any name: a state in memory begins another life after it died. */
  readonly life?: string;
  /** The number of its event in the log of the key, from 1. */
  readonly version?: number;
}

/** One call of a client with its outcome. */
export interface Operation extends Call, Answer {
  /** When it was invoked, in ms, by one monotonic clock for the whole history. */
  readonly t0: number;
  /** When its outcome was told, by the same clock; Infinity where none ever was. */
  readonly t1: number;
  readonly outcome: OutcomeKind;
  /** Of the error, where there was one. */
  readonly code?: string;
}

/** One effect, as the side that executed it wrote it down: an event of a durable stream, or a line of a trace of turns. */
export interface LoggedEvent {
  readonly key: string;
  /** The request that it belongs to; without one the event is nobody's (a timer, a migration). */
  readonly rid?: string;
  /** Its number in the log of the key, or of this life of the state; from 1. */
  readonly version: number;
  readonly epoch?: number;
  readonly by?: string;
  readonly life?: string;
  /** When it was executed, by the clock of the operations. Leave it out where that clock was not at hand. */
  readonly at?: number;
  /** Who called, and the number of the call: needed only to see the order of calls that were never answered. */
  readonly client?: string;
  readonly seq?: number;
}

/** What was seen of a system: by its callers, and where there is a log, by itself. The order of the arrays does not matter, but that of the events of one key. */
export interface History {
  readonly operations: readonly Operation[];
  /** In the order of the store, key by key. Events with `at` are put in order by it. */
  readonly events: readonly LoggedEvent[];
}

/** One history of what several recorders saw by one clock: on one machine that may be CLOCK_MONOTONIC (`process.hrtime`) in several processes. */
export function mergeHistories(histories: Iterable<History>): History {
  const operations: Operation[] = [];
  const events: LoggedEvent[] = [];
  for (const history of histories) {
    for (const operation of history.operations) operations.push(operation);
    for (const event of history.events) events.push(event);
  }
  return { operations, events };
}
