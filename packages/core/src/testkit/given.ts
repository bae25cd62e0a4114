import { deepStrictEqual } from 'node:assert/strict';
import { Activation } from '../actor/activation.ts';
import { ActorMetrics } from '../actor/actor-metrics.ts';
import { ActorType } from '../actor/actor-type.ts';
import type { ContractTypes } from '../actor/actor-context.ts';
import type { AggregateDefinition } from '../actor/aggregate.ts';
import type { HistoryEvent } from '../actor/aggregate-context.ts';
import type { CheckedAggregate, CheckedEvent } from '../actor/checked-aggregate.ts';
import { BackgroundRunner } from '../actor/background.ts';
import { DomainError } from '../actor/domain-error.ts';
import type { EventPair, EventSpecs } from '../actor/event-specs.ts';
import { checkDefinition } from '../actor/hosted-definition.ts';
import { checkInput } from '../actor/input-check.ts';
import type { MethodInput, MethodOutput } from '../actor/method-spec.ts';
import { TurnRefusal } from '../actor/refusals.ts';
import { actorOptions } from '../actor/settings.ts';
import { ShardSlot } from '../actor/shard-slot.ts';
import { isThenable } from '../base/thenable.ts';
import { TimerService } from '../actor/timers.ts';
import { deepFreeze } from '../base/deep-freeze.ts';
import { describeThrown, PerkeyError } from '../base/errors.ts';
import { silentLogger } from '../base/log.ts';
import { noMetrics } from '../base/metrics.ts';
import { resolveOptions } from '../base/options.ts';
import { noChain, noHeaders } from '../contract/calls.ts';
import type { Caller, CallOptions, InboundRequest } from '../contract/calls.ts';
import { AggregateTurnContext } from '../durable/aggregate-turn-context.ts';
import type { OutboxDraft, ReminderDraft } from '../durable/drafts.ts';
import { DurableTurnContext } from '../durable/durable-turn-context.ts';
import { VirtualClock } from './virtual-clock.ts';

export interface GivenOptions {
  /** Default `key`. */
  readonly key?: string;
  /** What `ctx.actor` calls; by default such a call rejects. */
  readonly call?: (type: string, method: string, key: string, input: unknown) => Promise<unknown>;
  /** The wall clock, in ms since 1970. */
  readonly at?: number;
}

/** A one-way message that a command sent. */
export interface SentMessage {
  readonly type: string;
  readonly key: string;
  readonly method: string;
  readonly input: unknown;
}

/**
 * An aggregate with a history, without node, store or cluster: `given(account, [['AccountOpened', { owner: 'ann' }]]).when('deposit', ...)`.
 * The state is frozen, so that an `evolve` or a handler that changes it throws.
 */
export function given<C extends ContractTypes, State, Events extends EventSpecs>(
  definition: AggregateDefinition<C, State, Events>,
  events: readonly EventPair<Events>[] = [],
  options: GivenOptions = {},
): GivenAggregate<C, State, Events> {
  return new GivenAggregate(definition, events, options);
}

export class GivenAggregate<C extends ContractTypes, State, Events extends EventSpecs> {
  readonly #definition: AggregateDefinition<C, State, Events>;
  readonly #options: GivenOptions;
  readonly #events: readonly EventPair<Events>[];
  readonly #type: ActorType;
  readonly #state: unknown;

  /** Use `given`. */
  constructor(definition: AggregateDefinition<C, State, Events>, events: readonly EventPair<Events>[], options: GivenOptions) {
    if (definition.aggregate === undefined)
      throw new TypeError('given() takes an aggregate; an actor that was made by host() is tested on a node with a virtual clock');
    this.#definition = definition;
    this.#options = options;
    this.#events = events;
    const checked = checkDefinition(definition, resolveOptions(actorOptions, {}));
    this.#type = new ActorType(0, definition.contract, checked, new ActorMetrics(noMetrics), () => {});
    this.#state = this.#fold();
  }

  /** After the history that was given. */
  get state(): State {
    return this.#state as State;
  }

  /** Runs a command or a query. An asynchronous one has to be awaited: `await given(...).when(...).settled()`. */
  when<Name extends keyof C['methods'] & string>(
    method: Name,
    ...input: undefined extends MethodInput<C['methods'][Name]>
      ? [input?: MethodInput<C['methods'][Name]>]
      : [input: MethodInput<C['methods'][Name]>]
  ): Decision<State, Events, MethodOutput<C['methods'][Name]>> {
    const hosted = this.#type.methods.get(method);
    if (hosted === undefined) throw new TypeError(`the contract has no method "${method}"`);
    const turn = new GivenTurn(this.#type, this.#options, this.#state, this.#history());
    const ctx = turn.context(method, hosted.changes, this.#definition.aggregate);
    const run = (checked: unknown): unknown => hosted.run(ctx, checked);
    let value: unknown;
    let failure: { readonly thrown: unknown } | undefined;
    try {
      const checked = hosted.input === undefined ? { value: undefined } : checkInput(this.#type.name, method, hosted.input, input[0]);
      value = checked instanceof Promise ? checked.then((later) => run(later.value)) : run(checked.value);
    } catch (thrown) {
      failure = { thrown };
    }
    return new Decision(this.#definition.aggregate, this.#state, ctx, turn.messages, value, failure);
  }

  /** The given events as stored ones. */
  #history(): readonly HistoryEvent[] {
    const { key = 'key', at = 0 } = this.#options;
    return this.#events.map(([name, data], index) => {
      const event = this.#definition.aggregate.events.get(name) as CheckedEvent;
      const version = index + 1;
      return { id: `given-${version}`, key, version, event: name, schema: event.version, at, data: parsed(event, data), metadata: {} };
    });
  }

  #fold(): unknown {
    const { aggregate, contract } = this.#definition;
    const key = this.#options.key ?? 'key';
    const at = this.#options.at ?? 0;
    let state = deepFreeze(aggregate.initial(key));
    for (const [index, [name, data]] of this.#events.entries()) {
      const event = aggregate.events.get(name);
      if (event === undefined) throw new TypeError(`actor ${contract.type} declares no event "${name}"`);
      state = deepFreeze(event.evolve(state, parsed(event, data), { key, version: index + 1, at }));
    }
    return state;
  }
}

/** What one command came to. The expectations throw an AssertionError that shows the difference, and give the decision back. */
export class Decision<State, Events extends EventSpecs, Reply> {
  readonly #aggregate: CheckedAggregate;
  readonly #before: unknown;
  readonly #ctx: AggregateTurnContext;
  readonly #value: unknown;
  #failure: { readonly thrown: unknown } | undefined;
  #settled: { readonly value: unknown } | undefined;
  #isRefusalExpected = false;
  /** One-way messages that would leave when the turn is stored. */
  readonly messages: readonly SentMessage[];

  /** Made by `when`. */
  constructor(
    aggregate: CheckedAggregate,
    before: unknown,
    ctx: AggregateTurnContext,
    messages: readonly SentMessage[],
    value: unknown,
    failure: { readonly thrown: unknown } | undefined,
  ) {
    this.#aggregate = aggregate;
    this.#before = before;
    this.#ctx = ctx;
    this.messages = messages;
    this.#value = value;
    this.#failure = failure;
    if (!isThenable(value)) this.#finish(value);
  }

  /** For a command that is asynchronous; resolves when it has ended, in whatever way. */
  async settled(): Promise<this> {
    if (this.#settled !== undefined) return this;
    try {
      this.#finish(await this.#value);
    } catch (thrown) {
      this.#failure = { thrown };
      this.#finish(undefined);
    }
    return this;
  }

  /** What it raised, in order; nothing when it failed. */
  get events(): readonly EventPair<Events>[] {
    this.#end();
    if (this.#failure !== undefined) return [];
    const raised = AggregateTurnContext.raisedOf(this.#ctx) ?? [];
    return raised.map(({ name, data }) => [name, data] as unknown as EventPair<Events>);
  }

  /** After what it raised; as before when it failed. */
  get state(): State {
    const isChanged = this.events.length > 0;
    return (isChanged ? AggregateTurnContext.outcomeOf(this.#ctx) : this.#before) as State;
  }

  get outbox(): readonly OutboxDraft[] {
    this.#end();
    return (this.#failure === undefined && DurableTurnContext.draftsOf(this.#ctx)?.outbox) || [];
  }

  get reminders(): readonly ReminderDraft[] {
    this.#end();
    return (this.#failure === undefined && DurableTurnContext.draftsOf(this.#ctx)?.reminders) || [];
  }

  /** Exactly these, in this order, after their schemas. Fails with what the command threw, if it threw and `expectError` did not expect that. */
  expectEvents(expected: readonly EventPair<Events>[]): this {
    this.#end();
    if (this.#failure !== undefined && !this.#isRefusalExpected) throw this.#failure.thrown;
    const wanted = expected.map(([name, data]) => {
      const event = this.#aggregate.events.get(name);
      return [name, event === undefined ? data : parsed(event, data)];
    });
    deepStrictEqual(this.events, wanted);
    return this;
  }

  /** It was refused: with an error that the contract declares, or with one of the runtime, such as `input.invalid`. Nothing is stored then. */
  expectError(code: string, data?: unknown): this {
    const thrown = this.error;
    if (thrown === undefined) throw new Error(`the command was not refused, but "${code}" was expected`);
    const found = codeOf(thrown);
    if (found === undefined)
      throw new Error(`the command threw what is no error of a contract: ${describeThrown(thrown)}`, { cause: thrown });
    deepStrictEqual(found, code);
    if (data !== undefined) deepStrictEqual(thrown instanceof DomainError ? thrown.data : undefined, data);
    this.#isRefusalExpected = true;
    return this;
  }

  expectReply(expected: Reply): this {
    this.#end();
    if (this.#failure !== undefined) throw this.#failure.thrown;
    deepStrictEqual(this.#settled?.value, expected);
    return this;
  }

  expectState(expected: State): this {
    deepStrictEqual(this.state, expected);
    return this;
  }

  /** What it threw. */
  get error(): unknown {
    this.#end();
    return this.#failure?.thrown;
  }

  #finish(value: unknown): void {
    this.#settled = { value };
    if (this.#failure !== undefined) return;
    try {
      AggregateTurnContext.raisedOf(this.#ctx);
      DurableTurnContext.release(this.#ctx);
    } catch (thrown) {
      this.#failure = { thrown };
    }
  }

  #end(): void {
    if (this.#settled === undefined) throw new TypeError('the command is asynchronous; await settled() before you ask what it came to');
  }
}

function codeOf(thrown: unknown): string | undefined {
  if (thrown instanceof TurnRefusal) return thrown.error.code;
  return thrown instanceof DomainError || thrown instanceof PerkeyError ? thrown.code : undefined;
}

function parsed(event: CheckedEvent, data: unknown): unknown {
  const result = event.schema.validate(data);
  if (isThenable(result)) throw new TypeError(`the schema of event ${event.name} is asynchronous`);
  if (result.issues !== undefined) throw new TypeError(`event ${event.name}: ${result.issues[0]?.message ?? 'it does not fit its schema'}`);
  return result.value;
}

/** The surroundings of one command. */
class GivenTurn {
  readonly messages: SentMessage[] = [];
  readonly #type: ActorType;
  readonly #options: GivenOptions;
  readonly #state: unknown;
  readonly #history: readonly HistoryEvent[];

  constructor(type: ActorType, options: GivenOptions, state: unknown, history: readonly HistoryEvent[]) {
    this.#type = type;
    this.#options = options;
    this.#state = state;
    this.#history = history;
  }

  context(method: string, changes: boolean, aggregate: CheckedAggregate): AggregateTurnContext {
    const activation = new Activation(this.#type, this.#options.key ?? 'key', new ShardSlot(0, 1));
    activation.state = this.#state;
    return new AggregateTurnContext(activation, this.#request(method), changes, {
      aggregate: frozen(aggregate),
      services: this.#services(),
      eventsMax: Infinity,
      versionOf: () => this.#history.length,
      historyOf: (_activation, { after, limit }) => Promise.resolve(this.#history.slice(after, after + limit)),
      remindersOf: () => [],
    });
  }

  #request(method: string): InboundRequest {
    const reply = { ok: () => {}, error: () => {} };
    const rest = { headers: noHeaders, chain: noChain, idempotencyKey: undefined, caller: 'given', deadline: Infinity, reply };
    return { id: 1, type: this.#type.name, method, key: this.#options.key ?? 'key', input: undefined, ...rest };
  }

  #services(): AggregateTurnParts['services'] {
    const { call, at = 0 } = this.#options;
    const clock = new VirtualClock();
    const noCluster = (): Promise<unknown> =>
      Promise.reject(new TypeError('there is no cluster behind given(); say in its options what a call gives'));
    const caller: Caller = {
      request: (type, method, key, input) => (call ?? noCluster)(type, method, key, input),
      notify: (type, method, key, input, _options?: CallOptions) => {
        this.messages.push({ type, key, method, input });
      },
    };
    const logOf = (): typeof silentLogger => silentLogger;
    const background = { backgroundMax: 16, keyBytesMax: 512, caller: () => caller, logOf, onFailure: () => {}, onEnd: () => {} };
    return {
      nodeId: 'given',
      keyBytesMax: 512,
      clock: {
        now: () => clock.now(),
        wall: () => at,
        setTimer: (delayMs, run) => clock.setTimer(delayMs, run),
        defer: (run) => clock.defer(run),
      },
      caller: () => caller,
      timers: new TimerService(clock, () => {}),
      background: new BackgroundRunner(background),
      logOf,
      onForgotten: () => {},
    };
  }
}

type AggregateTurnParts = ConstructorParameters<typeof AggregateTurnContext>[3];

/** The same aggregate, whose evolve gives frozen states. */
function frozen(aggregate: CheckedAggregate): CheckedAggregate {
  const events = new Map<string, CheckedEvent>();
  for (const [name, event] of aggregate.events) {
    events.set(name, { ...event, evolve: (state, data, facts) => deepFreeze(event.evolve(state, data, facts)) });
  }
  return { ...aggregate, events };
}
