import type { Activation } from '../actor/activation.ts';
import type { HistoryEvent, HistoryOptions } from '../actor/aggregate-context.ts';
import type { CheckedAggregate, CheckedEvent } from '../actor/checked-aggregate.ts';
import type { ContextServices } from '../actor/context-services.ts';
import { isThenable } from '../base/thenable.ts';
import { TurnContext } from '../actor/turn-context.ts';
import { type TurnRefusal, turnRefusal } from '../actor/refusals.ts';
import { bareError } from '../base/bare-error.ts';
import { deepFreeze } from '../base/deep-freeze.ts';
import { safeText } from '../base/log-text.ts';
import { copyPlain } from '../base/plain.ts';
import type { InboundRequest } from '../contract/calls.ts';
import type { EventDraft } from '../events/commit.ts';
import { DurableTurnContext, type RemindersOf } from './durable-turn-context.ts';
import { type HistoryRange, historyRange } from './history.ts';

export interface AggregateTurnParts {
  readonly aggregate: CheckedAggregate;
  readonly services: ContextServices;
  readonly eventsMax: number;
  readonly versionOf: (activation: Activation) => number;
  readonly remindersOf: RemindersOf;
  readonly historyOf: (activation: Activation, range: HistoryRange, signal: AbortSignal) => Promise<readonly HistoryEvent[]>;
}

/**
 * The context of one turn of an aggregate: what it raises changes the state that this turn sees, and nothing else until it is stored. States are
 * frozen: an `evolve` or a handler that changed one in place would change what is in memory without its being stored, and snapshots with it.
 */
export class AggregateTurnContext extends DurableTurnContext {
  readonly #parts: AggregateTurnParts;
  #raised: EventDraft[] | undefined = undefined;
  #state: unknown = undefined;
  #at = 0;
  #failure: TurnRefusal | undefined = undefined;

  constructor(activation: Activation, request: InboundRequest | undefined, changes: boolean, parts: AggregateTurnParts) {
    super(activation, request, parts.services, changes, parts.remindersOf);
    this.#parts = parts;
  }

  /** Undefined: the turn raised nothing. Throws what `raise` threw, whether the handler caught it or not. */
  static raisedOf(ctx: AggregateTurnContext): readonly EventDraft[] | undefined {
    if (ctx.#failure !== undefined) throw ctx.#failure;
    return ctx.#raised;
  }

  /** What the raised events lead to. */
  static outcomeOf(ctx: AggregateTurnContext): unknown {
    return ctx.#state;
  }

  /** When the first event was raised, in ms since 1970. */
  static raisedAtOf(ctx: AggregateTurnContext): number {
    return ctx.#at;
  }

  protected override restart(): void {
    this.#raised = undefined;
    this.#state = undefined;
    this.#failure = undefined;
  }

  override get state(): unknown {
    const { state } = TurnContext.activationOf(this);
    return this.#raised === undefined ? state : this.#state;
  }

  override set state(_state: unknown) {
    throw new TypeError('the state of an aggregate is made by evolve only; raise an event');
  }

  override get version(): number {
    return this.#parts.versionOf(TurnContext.activationOf(this)) + (this.#raised?.length ?? 0);
  }

  async history(options: HistoryOptions = {}): Promise<readonly HistoryEvent[]> {
    const activation = TurnContext.activationOf(this);
    return this.#parts.historyOf(activation, historyRange(options), this.signal);
  }

  raise(name: string, data: unknown): void {
    DurableTurnContext.mustChange(this, 'ctx.raise');
    try {
      this.#raise(name, data);
    } catch (thrown) {
      this.#failure ??= thrown as TurnRefusal;
      throw thrown;
    }
  }

  #raise(name: string, data: unknown): void {
    const { aggregate, eventsMax } = this.#parts;
    const { type, key } = TurnContext.activationOf(this);
    const event = aggregate.events.get(name);
    if (event === undefined) throw refused('event.invalid', `actor ${type.name} declares no event "${safeText(name, 64)}"`);
    const raised = (this.#raised ??= this.#begin());
    if (raised.length >= eventsMax) {
      throw refused('commit.too_large', `a turn of ${type.name} raised more than eventsPerCommitMax = ${eventsMax} events`);
    }
    const checked = checkedData(type.name, event, data);
    const version = this.#parts.versionOf(TurnContext.activationOf(this)) + raised.length + 1;
    try {
      this.#state = deepFreeze(event.evolve(this.#state, checked, { key, version, at: this.#at }));
    } catch (thrown) {
      throw refused('event.not_applicable', `evolve of ${type.name} threw for an event ${name}`, thrown);
    }
    raised.push({ name, schema: event.version, data: checked });
  }

  #begin(): EventDraft[] {
    this.#state = TurnContext.activationOf(this).state;
    this.#at = this.#parts.services.clock.wall();
    return [];
  }
}

/** The data as the schema gives it: a copy of the turn's own, since a handler may go on changing what it passed. */
function checkedData(type: string, event: CheckedEvent, data: unknown): unknown {
  const result = event.schema.validate(data);
  if (isThenable(result)) throw refused('event.invalid', `the schema of event ${event.name} of ${type} is asynchronous`);
  if (result.issues !== undefined) {
    const [first] = result.issues;
    const path = (first?.path ?? []).map((step) => String(typeof step === 'object' ? step.key : step)).join('.');
    const problem = `${path === '' ? '' : `${path}: `}${first?.message ?? 'it does not fit its schema'}`;
    throw refused('event.invalid', `event ${event.name} of ${type}: ${safeText(problem, 256)}`, result.issues);
  }
  try {
    return copyPlain(result.value);
  } catch (thrown) {
    throw refused('event.invalid', `event ${event.name} of ${type} holds something that is not plain data`, thrown);
  }
}

function refused(code: 'event.invalid' | 'event.not_applicable' | 'commit.too_large', text: string, cause?: unknown): TurnRefusal {
  return turnRefusal(bareError(code, text, cause === undefined ? {} : { cause }));
}
