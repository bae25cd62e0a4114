import type { ErrorCode } from './error-codes.ts';

export type { ErrorCode } from './error-codes.ts';

/** Whether the handler of the refused or failed request ran: `no` is always safe to try again. */
export type Executed = 'no' | 'yes' | 'unknown';

/**
 * What a caller's runtime does by itself with an error:
 * `route`: wait for the shard's owner and send again until the deadline; `never`: give it to the caller.
 */
export type RetryRule = 'route' | 'never';

export interface ErrorKind {
  readonly executed: Executed;
  readonly retry: RetryRule;
  /** What happened and what to do next, in one sentence; the errors page is tested against it. */
  readonly meaning: string;
}

/** The closed catalogue: every error that the runtime itself raises, by its stable code. */
export const errorCatalogue: Readonly<Record<ErrorCode, ErrorKind>> = {
  'shard.moved': {
    executed: 'no',
    retry: 'route',
    meaning: 'The node no longer owns the shard of this key; the caller sends again to the new owner by itself.',
  },
  'node.suspended': {
    executed: 'no',
    retry: 'route',
    meaning:
      'The node is joining the cluster, or was evicted and joins again; its own calls are refused until it has joined, so try again in a moment.',
  },
  'link.down': {
    executed: 'no',
    retry: 'route',
    meaning: 'The connection was down, so nothing was sent; the caller waits for it by itself.',
  },
  'node.unreachable': {
    executed: 'no',
    retry: 'route',
    meaning: 'Nobody listens at the address of the owner; the caller waits for a new owner by itself.',
  },
  'actor.not_hosted': {
    executed: 'no',
    retry: 'route',
    meaning: 'The node that owns the shard does not host this actor type, though another node does; let every node host the same types.',
  },
  'shard.no_owner': {
    executed: 'no',
    retry: 'never',
    meaning: 'No node took the shard of this key before the deadline; check that nodes run and can reach NATS.',
  },
  'actor.unknown_type': {
    executed: 'no',
    retry: 'never',
    meaning: 'No node of the cluster hosts this actor type; start a node with it, or check the name and the cluster.',
  },
  'method.unknown': {
    executed: 'no',
    retry: 'never',
    meaning: 'The actor type has no such method on the node that hosts it; check the contract versions.',
  },
  'input.invalid': {
    executed: 'no',
    retry: 'never',
    meaning: 'The input does not fit the schema of the method; the details name each failing path.',
  },
  'key.invalid': {
    executed: 'no',
    retry: 'never',
    meaning: 'An actor key is a non-empty string of well-formed Unicode within the length limit.',
  },
  'payload.too_large': {
    executed: 'no',
    retry: 'never',
    meaning: "The request does not fit the payload limit; send less, or raise payloadBytesMax and the server's max_payload.",
  },
  'payload.not_plain': {
    executed: 'no',
    retry: 'never',
    meaning: 'The value holds something that cannot travel (function, symbol, class instance, cycle); use plain data.',
  },
  'request.expired': {
    executed: 'no',
    retry: 'never',
    meaning: 'The deadline passed before the request could start; nothing was executed.',
  },
  'request.cancelled': { executed: 'no', retry: 'never', meaning: 'The caller cancelled the request before it was started.' },
  'request.malformed': {
    executed: 'no',
    retry: 'never',
    meaning: 'The envelope could not be decoded; check that both sides run compatible versions.',
  },
  'request.refused': { executed: 'no', retry: 'never', meaning: 'A middleware of the node refused the request.' },
  'request.forbidden': { executed: 'no', retry: 'never', meaning: 'The authorisation hook refused the request, failed, or was too slow.' },
  'protocol.unsupported': {
    executed: 'no',
    retry: 'never',
    meaning: 'The other side speaks another protocol version; the details hold both numbers.',
  },
  'mailbox.full': {
    executed: 'no',
    retry: 'never',
    meaning: 'The actor has more requests waiting than its mailbox holds; come back after retryAfterMs.',
  },
  'node.overloaded': {
    executed: 'no',
    retry: 'never',
    meaning:
      'The node has more requests waiting than it may hold, or than could run in the time of this one; come back after retryAfterMs.',
  },
  'client.overloaded': {
    executed: 'no',
    retry: 'never',
    meaning: 'This caller has more requests in flight than inFlightMax; wait for some to finish.',
  },
  'actor.limit': {
    executed: 'no',
    retry: 'never',
    meaning: 'The node holds as many resident actors as it may, and none of them may be passivated; add nodes or raise actorsResidentMax.',
  },
  'actor.quarantined': {
    executed: 'no',
    retry: 'never',
    meaning: 'A turn of this actor never settled; the actor takes no requests until that turn ends or its shard moves.',
  },
  'actor.activation_failed': {
    executed: 'no',
    retry: 'never',
    meaning: "onActivate or the initial state threw, so the request was not started; see the node's log.",
  },
  'call.cycle': {
    executed: 'no',
    retry: 'never',
    meaning: 'The request would wait for an actor that is itself waiting for it; the details show the path.',
  },
  'idempotency.mismatch': {
    executed: 'no',
    retry: 'never',
    meaning: 'The idempotency key was already used for another method or by another caller.',
  },
  'client.closed': { executed: 'no', retry: 'never', meaning: 'The client or node was closed before the request was sent.' },
  'event.invalid': {
    executed: 'no',
    retry: 'never',
    meaning:
      'The handler raised an event whose data does not fit its schema, or is not plain data; nothing was stored and the state is unchanged.',
  },
  'event.not_applicable': {
    executed: 'no',
    retry: 'never',
    meaning: "evolve threw for an event, new or stored; nothing was stored and the state is unchanged. See the node's log.",
  },
  'event.unknown': {
    executed: 'no',
    retry: 'never',
    meaning:
      'The history holds an event, or a version of one, that the definition does not know; host the newer definition, or add the event.',
  },
  'state.not_plain': {
    executed: 'no',
    retry: 'never',
    meaning:
      'The turn left something in the state that cannot be stored; nothing was, and the state is what it was before. Use plain data.',
  },
  'commit.conflict': {
    executed: 'no',
    retry: 'never',
    meaning: 'Other commits of the same actor came first again and again; nothing was stored. Come back after retryAfterMs.',
  },
  'outbox.full': {
    executed: 'no',
    retry: 'never',
    meaning:
      'More messages of this actor wait for their delivery than outboxPendingMax; nothing was stored. See why they are not delivered.',
  },
  'reminders.full': {
    executed: 'no',
    retry: 'never',
    meaning: 'The turn would leave the actor with more reminders than remindersMax; nothing was stored.',
  },
  'commit.too_large': {
    executed: 'no',
    retry: 'never',
    meaning:
      'What the turn decided does not fit into one record of the store, or is too many events; nothing was stored. Decide less at once.',
  },
  'stream.tombstoned': {
    executed: 'no',
    retry: 'never',
    meaning: 'The history of this actor was closed for good by a tombstone; nothing can be added to it.',
  },
  'stream.corrupt': {
    executed: 'no',
    retry: 'never',
    meaning:
      "The history of this actor cannot be read: a record of it is damaged, missing or not of this form. See the node's log, and verify it.",
  },
  'store.full': { executed: 'no', retry: 'never', meaning: 'The store has no room left; nothing was stored. Give it room.' },
  'store.missing': {
    executed: 'no',
    retry: 'never',
    meaning: 'The node hosts a durable actor but has no store; start it with one.',
  },
  'handler.failed': { executed: 'yes', retry: 'never', meaning: "The handler ran and threw; see the node's log for the stack." },
  'actor.error': {
    executed: 'yes',
    retry: 'never',
    meaning: 'The handler answered with an error that its contract declares; the details hold its code and data.',
  },
  'output.invalid': { executed: 'yes', retry: 'never', meaning: 'The handler ran, but what it returned does not fit its output schema.' },
  'reply.too_large': {
    executed: 'yes',
    retry: 'never',
    meaning: 'The handler ran, but its reply does not fit the payload limit; return less.',
  },
  'reply.not_plain': {
    executed: 'yes',
    retry: 'never',
    meaning: 'The handler ran, but its reply holds something that cannot travel; return plain data.',
  },
  'deadline.exceeded': {
    executed: 'unknown',
    retry: 'never',
    meaning: 'The deadline passed after the request was sent; it may have been executed.',
  },
  'link.lost': {
    executed: 'unknown',
    retry: 'never',
    meaning: 'The connection was lost after the request was sent; it may have been executed.',
  },
  'node.lost': { executed: 'unknown', retry: 'never', meaning: 'The node that had the request is gone; it may have been executed.' },
  'turn.timeout': {
    executed: 'unknown',
    retry: 'never',
    meaning: 'The turn did not settle within its time limit; the actor was quarantined.',
  },
  'turn.abandoned': {
    executed: 'unknown',
    retry: 'never',
    meaning: 'The shard moved or the node stopped before the running turn could end.',
  },
  'commit.unknown': {
    executed: 'unknown',
    retry: 'never',
    meaning: 'The store did not say in time whether it holds what the turn decided; it may. A repeat with the same idempotency key tells.',
  },
  'request.aborted': {
    executed: 'unknown',
    retry: 'never',
    meaning: 'The caller cancelled the request after it was sent; it may have been executed.',
  },
  'reply.malformed': { executed: 'unknown', retry: 'never', meaning: 'A reply arrived that could not be decoded.' },
  'options.invalid': {
    executed: 'no',
    retry: 'never',
    meaning: 'An option is out of its bounds; the message holds its name, value and bounds.',
  },
  'contract.invalid': {
    executed: 'no',
    retry: 'never',
    meaning: 'An actor definition is not well formed; the message names the type and what is wrong.',
  },
  'actor.duplicate_type': {
    executed: 'no',
    retry: 'never',
    meaning: 'Two definitions of one node share an actor type; give each its own name.',
  },
  'cluster.shards_mismatch': {
    executed: 'no',
    retry: 'never',
    meaning: 'The cluster was created with another number of shards; start the node with that number.',
  },
  'node.duplicate_id': { executed: 'no', retry: 'never', meaning: 'Another live node holds this id; give this one another id.' },
  'node.stopped': {
    executed: 'no',
    retry: 'route',
    meaning: 'The node was stopped before the request could start; the caller sends again to the new owner by itself.',
  },
  'transport.connect_timeout': {
    executed: 'no',
    retry: 'never',
    meaning: 'The server could not be reached in time; check the address and that it runs.',
  },
  'transport.refused': {
    executed: 'no',
    retry: 'never',
    meaning: 'The server refused the connection or an operation; check credentials and permissions.',
  },
  'transport.no_jetstream': {
    executed: 'no',
    retry: 'never',
    meaning: 'The NATS server runs without JetStream; start it with the flag -js (or jetstream {} in its configuration).',
  },
  'store.unavailable': {
    executed: 'unknown',
    retry: 'never',
    meaning: 'The record store did not answer; the write may or may not have been applied.',
  },
  'store.mismatch': {
    executed: 'no',
    retry: 'never',
    meaning:
      'The store does not belong with this cluster as it is: it was made for another one, or its histories belong to another store now; the message says which and what to do.',
  },
  'store.refused': { executed: 'no', retry: 'never', meaning: "The store's file cannot be used; the message says why and what to do." },
  'nats_server.not_found': {
    executed: 'no',
    retry: 'never',
    meaning: 'No NATS server was found and none could be started; see the message for each way that was tried.',
  },
};

/** Structured facts beside an error: plain data, safe to send and to log. */
export type ErrorDetails = Readonly<Record<string, unknown>>;

export interface ErrorOptions {
  readonly details?: ErrorDetails;
  /** A hint when to try again, in milliseconds. */
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
  /** Overrides the catalogue's verdict, for errors whose verdict depends on when they struck. */
  readonly executed?: Executed;
}

/** Every error of the runtime. `code` is stable; `executed` says whether the request ran. */
export class PerkeyError extends Error {
  override readonly name = 'PerkeyError';
  readonly code: ErrorCode;
  readonly executed: Executed;
  readonly details: ErrorDetails;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.executed = options.executed ?? errorCatalogue[code].executed;
    this.details = options.details ?? {};
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** What the runtime of the caller does with this error by itself. */
export function retryRule(code: ErrorCode): RetryRule {
  return errorCatalogue[code].retry;
}

/** True for any text that is a code of the catalogue (texts from the wire are not trusted to be one). */
export function isErrorCode(text: unknown): text is ErrorCode {
  return typeof text === 'string' && Object.hasOwn(errorCatalogue, text);
}

/** The text of anything thrown, for logs. */
export function describeThrown(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
