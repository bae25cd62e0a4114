import type { BackgroundWork } from '../actor/actor-context.ts';
import type { Outbox, ReminderEntry, Reminders } from '../actor/aggregate-context.ts';
import type { Activation } from '../actor/activation.ts';
import type { ContextServices } from '../actor/context-services.ts';
import { bindNotifyHandle, type NotifyHandle } from '../actor/handle-classes.ts';
import type { AnyContract } from '../actor/method-spec.ts';
import { endedTurn } from '../actor/refusals.ts';
import { inherited } from '../actor/turn-caller.ts';
import { TurnContext } from '../actor/turn-context.ts';
import type { InboundRequest } from '../contract/calls.ts';
import type { OutboxDraft, ReminderDraft } from './drafts.ts';
import { HeldActor } from './held-actor.ts';
import { HeldCaller, HeldMessages } from './held-messages.ts';
import { TurnOutbox } from './turn-outbox.ts';
import { TurnReminders } from './turn-reminders.ts';

/** The reminders that an actor has, as its last stored turn left them. */
export type RemindersOf = (activation: Activation) => Iterable<ReminderEntry>;

/** What a turn of a durable actor collects until it is stored. */
export class TurnDrafts {
  outbox: OutboxDraft[] | undefined = undefined;
  reminders: ReminderDraft[] | undefined = undefined;
}

/** The context of a turn that is stored: messages leave only then. */
export class DurableTurnContext extends TurnContext {
  readonly #changes: boolean;
  readonly #remindersOf: RemindersOf;
  readonly #shared: ContextServices;
  #held: HeldMessages | undefined = undefined;
  #drafts: TurnDrafts | undefined = undefined;
  /** What the turn decided is on its way to the store: nothing can be added. */
  #isDecided = false;

  /** `changes`: the turn may store something. */
  constructor(
    activation: Activation,
    request: InboundRequest | undefined,
    services: ContextServices,
    changes: boolean,
    remindersOf: RemindersOf,
  ) {
    super(activation, request, services);
    this.#changes = changes;
    this.#remindersOf = remindersOf;
    this.#shared = services;
  }

  /** Undefined: the turn wrote none of them. */
  static draftsOf(ctx: DurableTurnContext): TurnDrafts | undefined {
    return ctx.#drafts;
  }

  /** Forgets what the turn collected: it failed, or its handler runs again. */
  static reset(ctx: DurableTurnContext): void {
    ctx.#held?.drop();
    ctx.#drafts = undefined;
    ctx.#isDecided = false;
    ctx.restart();
  }

  /** The handler has returned. What code that it left running would still write is refused, since it would be in memory and not in the store. */
  static decide(ctx: DurableTurnContext): void {
    ctx.#isDecided = true;
  }

  /** The turn is stored, or has nothing to store: what it wants done is done now. */
  static release(ctx: DurableTurnContext): void {
    ctx.#held?.release();
  }

  /** Throws where the turn stores nothing, or no more. */
  static mustChange(ctx: DurableTurnContext, what: string): void {
    void TurnContext.activationOf(ctx);
    if (ctx.#isDecided) throw endedTurn();
    if (!ctx.#changes)
      throw new TypeError(`${what} is not for lifecycle hooks and methods that the contract declares readonly: they store nothing`);
  }

  /** For what a context of a kind adds to this. */
  protected restart(): void {}

  get #messages(): HeldMessages {
    const activation = TurnContext.activationOf(this);
    return (this.#held ??= new HeldMessages((text) => {
      this.#shared.logOf(activation).warn({ text }, 'a message could not be sent when its turn was stored');
    }));
  }

  override notify<Other extends AnyContract>(contract: Other, key: string): NotifyHandle<Other> {
    const checked = TurnContext.checkedKey(this, key);
    return bindNotifyHandle(contract, checked, new HeldCaller(TurnContext.callerOf(this), this.#messages));
  }

  override get self(): NotifyHandle<AnyContract> {
    const { type, key } = TurnContext.activationOf(this);
    return bindNotifyHandle(type.contract, key, new HeldCaller(this.#shared.caller(), this.#messages));
  }

  /** Does not throw for too many tasks, which is only known when the turn is stored; the log says it then. */
  override background(...args: readonly [BackgroundWork<AnyContract>] | readonly [string, BackgroundWork<AnyContract>]): void {
    const [name, work] = args.length === 1 ? ['work', args[0]] : args;
    const activation = TurnContext.activationOf(this);
    if (typeof work !== 'function') throw new TypeError('background work is a function');
    this.#messages.hold(() => this.#shared.background.start(activation, name, work));
  }

  /** How often the actor was stored; of an aggregate: the number of its last event. */
  get version(): number {
    return HeldActor.of(TurnContext.activationOf(this)).head.version;
  }

  get outbox(): Outbox {
    DurableTurnContext.mustChange(this, 'ctx.outbox');
    return new TurnOutbox(this.#shared.keyBytesMax, inherited(TurnContext.requestOf(this)), (draft) => {
      DurableTurnContext.mustChange(this, 'ctx.outbox');
      const drafts = (this.#drafts ??= new TurnDrafts());
      (drafts.outbox ??= []).push(draft);
    });
  }

  get reminders(): Reminders {
    const activation = TurnContext.activationOf(this);
    return new TurnReminders(
      activation.type.contract,
      () => this.#remindersOf(activation),
      () => this.#drafts?.reminders,
      (draft) => {
        DurableTurnContext.mustChange(this, 'ctx.reminders');
        const drafts = (this.#drafts ??= new TurnDrafts());
        (drafts.reminders ??= []).push(draft);
      },
    );
  }
}
