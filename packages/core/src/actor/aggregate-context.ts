import type { Headers } from '../contract/calls.ts';
import type { ActorContext, ContractTypes } from './actor-context.ts';
import type { EventFacts, EventInput, EventSpecs } from './event-specs.ts';
import type { NotifyHandle } from './handle-classes.ts';
import type { AnyContract, MethodInput, MethodSpecs } from './method-spec.ts';

/** What every handler of a durable actor sees beside the state. Messages that it sends one way, and background work, leave when its turn is stored. */
export interface DurableContext {
  /** Number of the last event; 0 for an actor without history. Of an actor whose state is kept: how often it was stored. */
  readonly version: number;
}

/** What a handler may have stored with the effect of its turn. */
export interface StoringContext<Methods extends MethodSpecs = MethodSpecs> extends DurableContext {
  readonly outbox: Outbox;
  readonly reminders: Reminders<Methods>;
}

/** Messages that are stored with the turn and sent after it, at least once, in the order written. A turn that fails leaves none. */
export interface Outbox {
  /** To a subject of the message broker. `data` is plain data. */
  publish(subject: string, data: unknown, headers?: Headers): void;
  /** One-way messages to another actor. */
  actor<Other extends AnyContract>(contract: Other, key: string): NotifyHandle<Other>;
}

/**
 * When a reminder is due. Times are those of the wall clock, in ms since 1970. An interval counts `from` a time, else from when it was set. A cron
 * pattern has five fields, or six with seconds first; its time zone is UTC where none is given.
 */
export type ReminderSchedule =
  { readonly at: number } | { readonly everyMs: number; readonly from?: number } | { readonly cron: string; readonly timeZone?: string };

/** What becomes of the times that passed while nobody could be woken: one wake-up for all, one for each, none. */
export type MissedReminders = 'once' | 'all' | 'skip';

/** Wake-ups that are stored with the turn and outlive every node. */
export interface Reminders<Methods extends MethodSpecs = MethodSpecs> {
  /**
   * Replaces one of the same name. When due the actor gets `input` as a call of `method`, which is one of its contract: never early, once for
   * each due time, its effect with it. A call that fails is tried again some times, then left out.
   */
  set<Method extends keyof Methods & string>(
    name: string,
    schedule: ReminderSchedule,
    wake: { readonly method: Method; readonly input?: MethodInput<Methods[Method]>; readonly missed?: MissedReminders },
  ): void;
  /** False when there was none. */
  cancel(name: string): boolean;
  /** Those that are set, with the changes of this turn. */
  list(): readonly ReminderEntry[];
}

export interface ReminderEntry {
  readonly name: string;
  readonly schedule: ReminderSchedule;
  readonly method: string;
  readonly input: unknown;
  readonly missed: MissedReminders;
  /** When it is due next; undefined for one that this turn has set. */
  readonly dueAt?: number | undefined;
}

export interface HistoryOptions {
  /** The version of the last event that is known already. Default 0. */
  readonly after?: number;
  /** 1 to 1,000; default 100. */
  readonly limit?: number;
}

/** An event of the actor's own history. */
export interface HistoryEvent extends EventFacts {
  /** The same for every repeat of a command with an idempotency key. */
  readonly id: string;
  readonly event: string;
  /** Version of the event's schema: the present one. */
  readonly schema: number;
  readonly data: unknown;
  readonly metadata: {
    readonly correlation?: string | undefined;
    readonly causation?: string | undefined;
    readonly trace?: string | undefined;
    readonly principal?: string | undefined;
  };
}

/** What a query of an aggregate sees. */
export type QueryContext<C extends ContractTypes, State, TimerName extends string = string> = Omit<
  ActorContext<C, State, TimerName>,
  'state'
> &
  DurableContext & {
    readonly reminders: Pick<Reminders, 'list'>;
    /** Never to be changed: only `evolve` makes a new one. */
    readonly state: Readonly<State>;
    /**
     * Stored events of this actor by version, led to their present form; none above `ctx.version`, none that this turn raised. Reads the store:
     * from where a former page ended or the newest snapshot lies, if that is before `after`, else from the beginning. Throws `RangeError` for
     * options out of their bounds.
     */
    history(options?: HistoryOptions): Promise<readonly HistoryEvent[]>;
  };

/** What a command of an aggregate sees. */
export type AggregateContext<C extends ContractTypes, State, Events extends EventSpecs, TimerName extends string = string> = QueryContext<
  C,
  State,
  TimerName
> &
  StoringContext<C['methods']> & {
    /**
     * Decides that this has happened: `ctx.state` is evolved at once, and the event is stored when the handler has returned. When it throws
     * nothing is stored, and the state is what it was before. Throws where the data does not fit the event's schema, which must be synchronous.
     */
    raise<Name extends keyof Events & string>(name: Name, data: EventInput<Events[Name]>): void;
  };
