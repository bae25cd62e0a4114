import type { ActorContext, ContractTypes } from './actor-context.ts';
import type { StoringContext } from './aggregate-context.ts';
import type { HandlerInput, MethodOutput, MethodSpec } from './method-spec.ts';

export type Handler<C extends ContractTypes, State, TimerName extends string, M extends MethodSpec, More = unknown> = (
  ctx: ActorContext<C, State, TimerName> & More,
  input: HandlerInput<M>,
) => MethodOutput<M> | PromiseLike<MethodOutput<M>>;

/** A method, so that a handler may say the type of its own input. */
export type TimerHandler<C extends ContractTypes, State, TimerName extends string, More = unknown> = {
  run(ctx: ActorContext<C, State, TimerName> & More, input: unknown): void | PromiseLike<void>;
}['run'];

/** `moved`: the state came from another node, from this one's earlier ownership of the shard, or from the store. */
export type ActivationOrigin = 'new' | 'moved';

/** `lost`: another node may act for the key already, so that nothing may be written any more. */
export type DeactivationReason = 'passivated' | 'moved' | 'stopped' | 'lost';

export interface UnknownCall {
  readonly method: string;
  /** Not checked by any schema. */
  readonly input: unknown;
}

/** Everything of an actor but its methods. */
export interface ActorOptions<C extends ContractTypes, State, TimerName extends string, More = unknown> {
  /** The state of a key that was never used. Written first, or its type is not known to handlers where it takes the key. */
  readonly state: (key: string) => State;
  /** Runs before the first turn; requests wait for it. When it throws they are refused and the activation is discarded. */
  readonly onActivate?: (ctx: ActorContext<C, State, TimerName>, origin: ActivationOrigin) => void | PromiseLike<void>;
  /** Runs after the last turn. A throw is logged and changes nothing. */
  readonly onDeactivate?: (ctx: ActorContext<C, State, TimerName>, reason: DeactivationReason) => void | PromiseLike<void>;
  /** Takes calls to methods that the contract does not name, which are otherwise refused with `method.unknown`. */
  readonly defaultHandler?: (ctx: ActorContext<C, State, TimerName>, call: UnknownCall) => unknown;
  /** What `ctx.timers.set` may name. */
  readonly timers?: { readonly [N in TimerName]: TimerHandler<C, State, TimerName, More> };
  /**
   * `state`: the state is stored with each turn that changed it, before the turn is answered. Not for methods that the contract declares
   * `readonly`. When a handler throws, the state is again what was stored last. Needs a store.
   */
  readonly persist?: 'state';
  /**
   * Allows that an actor without work for so long is given up with its state. Without it an actor stays until its node stops; one whose
   * state is stored is given up by the node's default.
   */
  readonly passivateAfterMs?: number;
  /** Requests that may wait for one actor. Default: the node's. */
  readonly mailboxMax?: number;
  /** 0: none. Default: the node's. */
  readonly turnTimeoutMs?: number;
  readonly idempotency?: IdempotencyOptions;
  /** Checks what handlers return against the output schema, for tests and development. Default: the node's. */
  readonly checkOutputs?: boolean;
}

export interface IdempotencyOptions {
  /** Replies remembered per actor. Default: the node's. */
  readonly countMax?: number;
  /** Default: the node's. */
  readonly ageMs?: number;
}

export type Implementation<C extends ContractTypes, State, TimerName extends string, More = unknown> = {
  readonly [N in keyof C['methods'] & string]: Handler<C, State, TimerName, C['methods'][N], More>;
} & ActorOptions<C, State, TimerName, More>;

/** An actor whose state is kept: its handlers may have messages and reminders stored with it. */
export type KeptImplementation<C extends ContractTypes, State, TimerName extends string> = Implementation<
  C,
  State,
  TimerName,
  StoringContext<C['methods']>
> & { readonly persist: 'state' };
