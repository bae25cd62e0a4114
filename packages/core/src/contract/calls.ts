import type { PerkeyError } from '../base/errors.ts';

export type Headers = Readonly<Record<string, string>>;

export const noHeaders: Headers = Object.freeze({});
export const noChain: readonly string[] = Object.freeze([]);

/** Where a request comes from, as far as it is proven. */
export interface CallSource {
  /** `client`: a thin client, or whoever may send what one may. `json`: a call in JSON. `node`: a node, for an actor or for itself. */
  readonly origin: 'client' | 'json' | 'node';
  /** Who calls, where the transport proves that; '' where it does not. Never '' by a choice of the caller's. */
  readonly principal: string;
}

export const fromNode: CallSource = Object.freeze({ origin: 'node', principal: '' });
export const fromAnyone: CallSource = Object.freeze({ origin: 'client', principal: '' });

/** A request as the node that owns its shard sees it, decoded but not yet checked against a schema. */
export interface InboundRequest {
  /** The caller's number for it; given back with the reply. */
  readonly id: number;
  readonly type: string;
  readonly method: string;
  readonly key: string;
  readonly input: unknown;
  readonly headers: Headers;
  /** Addresses (`type/key`) of the actors that wait for this request, the outermost first. */
  readonly chain: readonly string[];
  readonly idempotencyKey: string | undefined;
  /** Who calls, for binding idempotency keys; '' where nobody said. */
  readonly caller: string;
  /** Absent: nothing is proven of it. */
  readonly source?: CallSource;
  /** By this process's monotonic clock, in ms. */
  readonly deadline: number;
  /** Takes the outcome, exactly once. For one-way messages it takes nothing anywhere. */
  readonly reply: ReplyPort;
}

/** Where outcomes go. Never throws. */
export interface ReplyPort {
  /** `now`: the end of the turn by the monotonic clock, for whoever would read it again. */
  ok(id: number, value: unknown, now: number): void;
  error(id: number, error: PerkeyError): void;
}

/** Takes the requests for the actors of a node. Never throws. */
export interface RequestHost {
  /** Every outcome goes to the request's reply port. `isAwaited`: a turn of an actor that leaves its node waits for it. */
  admit(shard: number, request: InboundRequest, isAwaited?: boolean): void;
  /**
   * Whether one of these actors leaves this node, once the turn that it runs has ended. `isOneWay`: not where that turn itself was asked for by
   * a one-way message, taken since then.
   */
  isLeaving(chain: readonly string[], isOneWay: boolean): boolean;
  /**
   * The epoch of a shard that leaves this node once its turns have ended; `undefined` for all others. Until then it takes what is awaited by
   * turns of this and other shards that leave: they could wait for each other in a circle. `isHeldLong`: it is only that a turn has waited for
   * long for the move. That may be such a circle as well, by way of others; it is taken in the first half of the time that the shard has, so
   * that the turns that it asks for do not keep the shard to the last.
   */
  leavingEpoch(shard: number, isHeldLong: boolean): number | undefined;
  /** Nobody waits for the chosen requests any more. */
  cancel(chosen: (request: InboundRequest) => boolean): void;
}

export interface CallOptions {
  /** How long the caller waits. Default: the caller's `requestTimeoutMs`; never beyond `deadline`. */
  readonly timeoutMs?: number | undefined;
  /** A point on this process's monotonic clock, in ms, that the call must not outlive. Inside a turn: the turn's own. */
  readonly deadline?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly headers?: Headers | undefined;
  readonly chain?: readonly string[] | undefined;
  /** A repeat with the same key gets the first answer. Also allows the caller's runtime to send again after `unknown`. */
  readonly idempotencyKey?: string | undefined;
  /** Executing it twice does no harm, even if the second time comes after later calls; allows the caller's runtime to send again after `unknown`. */
  readonly idempotent?: boolean | undefined;
  /** A call in JSON that a node passes on, and who made it ('' where that is not proven). Believed of nodes only. */
  readonly onBehalfOf?: string | undefined;
}

export const noOptions: CallOptions = Object.freeze({});

/** Sends requests to actors wherever they are. Implemented by the client; a node has one too. */
export interface Caller {
  request(type: string, method: string, key: string, input: unknown, options?: CallOptions): Promise<unknown>;
  /**
   * One way: at most once, no answer. Throws what is not sent at all: bad key, not plain, too large, too many in flight, closed. The chain is not
   * sent, since nobody waits for it, so that it closes no cycle; nor does it end with the deadline.
   */
  notify(type: string, method: string, key: string, input: unknown, options?: CallOptions): void;
}

/** What a node may do right now, decided from its lease by reading the clock; never a stored answer. */
export interface Guard {
  /** True while the lease holds at `now` (monotonic ms, read by the caller just before). */
  mayAct(now: number): boolean;
}

/** An actor on its way to another node: plain data. */
export interface CarriedActor {
  readonly type: string;
  readonly key: string;
  readonly state: unknown;
  /** Remembered replies by idempotency key; opaque to all but the actor runtime. */
  readonly window?: unknown;
  /** Timers with what is left of them; opaque to all but the actor runtime. */
  readonly timers?: unknown;
}
