import type { ContractTypes } from './actor-context.ts';
import type { AggregateContext, QueryContext } from './aggregate-context.ts';
import type { CheckedAggregate } from './checked-aggregate.ts';
import type { ActorDefinition } from './definition.ts';
import type { EventData, EventFacts, EventSpecs, Upcasters } from './event-specs.ts';
import type { ActivationOrigin, DeactivationReason, IdempotencyOptions } from './implementation.ts';
import type { HandlerInput, MethodOutput, MethodSpec } from './method-spec.ts';

type Result<M> = MethodOutput<M> | PromiseLike<MethodOutput<M>>;

type CommandHandler<C extends ContractTypes, State, Events extends EventSpecs, TimerName extends string, M extends MethodSpec> = (
  ctx: AggregateContext<C, State, Events, TimerName>,
  input: HandlerInput<M>,
) => Result<M>;

type QueryHandler<C extends ContractTypes, State, TimerName extends string, M extends MethodSpec> = (
  ctx: QueryContext<C, State, TimerName>,
  input: HandlerInput<M>,
) => Result<M>;

type QueryNames<Methods> = { [N in keyof Methods & string]: Methods[N] extends { readonly readonly: true } ? N : never }[keyof Methods &
  string];

type CommandNames<Methods> = Exclude<keyof Methods & string, QueryNames<Methods>>;

type Commands<C extends ContractTypes, State, Events extends EventSpecs, TimerName extends string> = {
  readonly [N in CommandNames<C['methods']>]: CommandHandler<C, State, Events, TimerName, C['methods'][N]>;
};

type Queries<C extends ContractTypes, State, TimerName extends string> = {
  readonly [N in QueryNames<C['methods']>]: QueryHandler<C, State, TimerName, C['methods'][N]>;
};

/** A method, so that a handler may say the type of its own input. */
type AggregateTimer<C extends ContractTypes, State, Events extends EventSpecs, TimerName extends string> = {
  run(ctx: AggregateContext<C, State, Events, TimerName>, input: unknown): void | PromiseLike<void>;
}['run'];

export interface AggregateOptions<C extends ContractTypes, State, Events extends EventSpecs, TimerName extends string> {
  /** The state of a key without history. Written first, or its type is not known to the functions that follow. */
  readonly initial: (key: string) => State;
  /** What may happen, by the names under which it is stored: they outlive every renaming in the program. */
  readonly events: Events;
  /** The state after an event. Pure: it looks at nothing but its arguments and changes none of them, since it runs again at every load. */
  readonly evolve: {
    readonly [N in keyof Events & string]: (
      state: Readonly<NoInfer<State>>,
      data: EventData<Events[N]>,
      event: EventFacts,
    ) => NoInfer<State>;
  };
  /** How stored data of earlier versions becomes what `evolve` takes. */
  readonly upcasters?: NoInfer<Upcasters<Events>>;
  /** A snapshot of the state is saved after so many events; 0: never. Default: the node's. */
  readonly snapshotEvery?: number;
  /** To be raised when the state changes its form, so that snapshots of the old one are not used. Default 1. */
  readonly stateVersion?: number;
  /** Runs before the first turn, after the history was loaded; requests wait for it. When it throws they are refused. It stores nothing. */
  readonly onActivate?: (ctx: QueryContext<C, NoInfer<State>, TimerName>, origin: ActivationOrigin) => void | PromiseLike<void>;
  /** Runs after the last turn. A throw is logged and changes nothing. */
  readonly onDeactivate?: (ctx: QueryContext<C, NoInfer<State>, TimerName>, reason: DeactivationReason) => void | PromiseLike<void>;
  /** What `ctx.timers.set` may name. Timers live in memory; an actor is not given up while it has one. */
  readonly timers?: { readonly [N in TimerName]: AggregateTimer<C, NoInfer<State>, Events, TimerName> };
  /** An actor without work for so long leaves the memory; it is loaded again when it is called. Default: the node's. */
  readonly passivateAfterMs?: number;
  /** Requests that may wait for one actor. Default: the node's. */
  readonly mailboxMax?: number;
  /** 0: none. Default: the node's. */
  readonly turnTimeoutMs?: number;
  readonly idempotency?: IdempotencyOptions;
  /** Checks what handlers return against the output schema, for tests and development. Default: the node's. */
  readonly checkOutputs?: boolean;
}

/** An event-sourced actor: its state is a fold of its events, and they are all that is stored. */
export type AggregateImplementation<C extends ContractTypes, State, Events extends EventSpecs, TimerName extends string> = AggregateOptions<
  C,
  State,
  Events,
  TimerName
> & {
  /** The methods of the contract that are not `readonly`. */
  readonly commands: Commands<C, NoInfer<State>, Events, TimerName>;
} & ([QueryNames<C['methods']>] extends [never]
    ? { readonly queries?: Readonly<Record<string, never>> }
    : {
        /** The methods that the contract declares `readonly`: they raise nothing and wait for no store. */
        readonly queries: Queries<C, NoInfer<State>, TimerName>;
      });

/** An aggregate, for a node's `actors`. */
export interface AggregateDefinition<C extends ContractTypes, State, Events extends EventSpecs> extends ActorDefinition {
  readonly aggregate: CheckedAggregate;
  /** Never there: it holds the types for `given`. */
  readonly types?: { readonly contract: C; readonly state: State; readonly events: Events };
}
