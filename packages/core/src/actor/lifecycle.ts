import { PerkeyError } from '../base/errors.ts';
import type { Activation } from './activation.ts';
import { activationFailed } from './activation-failures.ts';
import type { ActivationFailures } from './activation-failures.ts';
import type { ActorMetrics } from './actor-metrics.ts';
import type { BackgroundRunner } from './background.ts';
import type { ContextServices } from './context-services.ts';
import type { Durability, LoadedActor } from './durability.ts';
import type { FailureLog } from './failure-log.ts';
import type { ActivationOrigin, DeactivationReason } from './implementation.ts';
import { PendingTurn } from './pending-turn.ts';
import { isThenable } from '../base/thenable.ts';
import type { TimerService } from './timers.ts';
import { TurnContext } from './turn-context.ts';
import type { TurnWatch } from './turn-watch.ts';

export interface LifecycleOptions {
  readonly services: ContextServices;
  readonly timers: TimerService;
  readonly background: BackgroundRunner;
  readonly watch: TurnWatch;
  readonly failures: FailureLog;
  readonly activationFailures: ActivationFailures;
  readonly metrics: ActorMetrics;
  readonly now: () => number;
  /** Runs `finish` with nothing nested on it, then goes on with mailboxes. */
  readonly settle: (turn: PendingTurn, finish: () => void) => void;
  /** Refuses everything in the actor's mailbox. */
  readonly clear: (activation: Activation, error: PerkeyError) => void;
  /** The actor left; requests that still wait in its mailbox need another one. */
  readonly onRemoved: (activation: Activation) => void;
}

/** The beginning and the end of activations, with the hooks that definitions have for them. */
export class Lifecycle {
  readonly #o: LifecycleOptions;

  constructor(options: LifecycleOptions) {
    this.#o = options;
  }

  /**
   * Loads or makes the state where there is none and runs `onActivate`. Afterwards the actor is idle, activating, or, if that failed, dormant
   * or gone.
   */
  activate(activation: Activation): void {
    const { type, hasState } = activation;
    activation.status = 'activating';
    if (type.durability === undefined || hasState) this.#begin(activation, hasState ? 'moved' : 'new');
    else this.#load(activation, type.durability);
  }

  /** Nothing of what is loaded touches the actor before all is there, nor after the shard was lost. */
  #load(activation: Activation, durability: Durability): void {
    const { type } = activation;
    const ctx = durability.contextOf(activation, undefined, undefined);
    const turn = new PendingTurn(activation, 'load', ctx, undefined, this.#o.now(), (late) => {
      this.#giveUp(late, () => this.#notLoaded(activation, ctx, activationFailed()));
    });
    let loaded: LoadedActor | undefined;
    const loading = durability.load(activation).then((actor) => {
      loaded = actor;
    });
    this.#wait(turn, loading, (thrown) => {
      if (loaded === undefined) return this.#notLoaded(activation, ctx, thrown);
      TurnContext.revoke(ctx);
      activation.state = loaded.state;
      activation.hasState = true;
      activation.own.held = loaded.held;
      type.replies.restore(activation, loaded.replies, this.#o.now());
      this.#begin(activation, loaded.isNew ? 'new' : 'moved');
    });
  }

  /** The next request tries again: a store that does not answer is not the fault of the actor. */
  #notLoaded(activation: Activation, ctx: TurnContext, thrown: unknown): void {
    TurnContext.revoke(ctx);
    this.#o.metrics.activationFailures(activation.type.name).inc();
    const isRefusal = thrown instanceof PerkeyError;
    if (!isRefusal) this.#o.failures.threw(activation, 'load', thrown);
    activation.status = 'dormant';
    this.#o.clear(activation, isRefusal ? thrown : activationFailed());
    this.discard(activation);
  }

  /** Takes an actor that is not active out of memory, unless its state is here or its timers are: those count on, and it is tried again. */
  discard(activation: Activation): void {
    const { type, hasState, extras } = activation;
    if (hasState || (type.durability !== undefined && extras?.timers !== undefined)) this.#o.timers.again(activation);
    else this.remove(activation, undefined);
  }

  #begin(activation: Activation, origin: ActivationOrigin): void {
    const { type, key } = activation;
    const { definition, durability } = type;
    const ctx =
      durability === undefined
        ? new TurnContext(activation, undefined, this.#o.services)
        : durability.contextOf(activation, undefined, undefined);
    let result: unknown;
    try {
      if (!activation.hasState) activation.state = definition.createState(key);
      result = definition.onActivate?.(ctx, origin);
    } catch (thrown) {
      this.#failed(activation, ctx, thrown);
      return;
    }
    if (!isThenable(result)) {
      this.#activated(activation, ctx);
      return;
    }
    const turn = new PendingTurn(activation, 'onActivate', ctx, undefined, this.#o.now(), (late) => {
      this.#giveUp(late, () => this.#failed(activation, ctx, new Error('onActivate did not settle within turnTimeoutMs')));
    });
    this.#wait(turn, result, (thrown, isFailed) => {
      if (isFailed) this.#failed(activation, ctx, thrown);
      else this.#activated(activation, ctx);
    });
  }

  #activated(activation: Activation, ctx: TurnContext): void {
    TurnContext.revoke(ctx);
    const { type } = activation;
    activation.hasState = true;
    activation.rest();
    type.order.touch(activation, this.#o.now());
    this.#o.metrics.activations(type.name).inc();
    if (this.#o.activationFailures.size > 0) this.#o.activationFailures.succeeded(activation.address);
  }

  /** A state that was carried here is kept for a later try; a new one is discarded with its activation. */
  #failed(activation: Activation, ctx: TurnContext, thrown: unknown): void {
    TurnContext.revoke(ctx);
    this.#o.metrics.activationFailures(activation.type.name).inc();
    this.#o.failures.threw(activation, 'onActivate', thrown);
    this.#o.activationFailures.record(activation.address);
    activation.status = 'dormant';
    if (activation.type.durability !== undefined) activation.unload();
    this.#o.clear(activation, activationFailed());
    this.discard(activation);
  }

  /** Runs `onDeactivate` of an actor between two turns, then `atEnd`, which removes the actor. At once where there is no hook to run. */
  deactivate(activation: Activation, reason: DeactivationReason, atEnd: () => void): void {
    const { onDeactivate } = activation.type.definition;
    this.#o.background.abort(activation);
    if (onDeactivate === undefined || activation.status === 'dormant') {
      atEnd();
      return;
    }
    activation.status = 'deactivating';
    const { durability } = activation.type;
    const ctx =
      durability === undefined
        ? new TurnContext(activation, undefined, this.#o.services)
        : durability.contextOf(activation, undefined, undefined);
    const finish = (): void => {
      TurnContext.revoke(ctx);
      atEnd();
    };
    let result: unknown;
    try {
      result = onDeactivate(ctx, reason);
    } catch (thrown) {
      this.#o.failures.threw(activation, 'onDeactivate', thrown);
    }
    if (!isThenable(result)) {
      finish();
      return;
    }
    const turn = new PendingTurn(activation, 'onDeactivate', ctx, undefined, this.#o.now(), (late) => {
      this.#o.failures.note(activation, 'onDeactivate', {}, 'onDeactivate did not settle within turnTimeoutMs');
      this.#giveUp(late, finish);
    });
    this.#wait(turn, result, (thrown, isFailed) => {
      if (isFailed) this.#o.failures.threw(activation, 'onDeactivate', thrown);
      finish();
    });
  }

  /** Gives up the actor with its state, as its definition allows. */
  passivate(activation: Activation): void {
    this.deactivate(activation, 'passivated', () => this.remove(activation, 'passivated'));
  }

  /** Takes the actor out of memory. Without a reason it never became active. */
  remove(activation: Activation, reason: DeactivationReason | undefined): void {
    const { type, slot, status } = activation;
    if (status === 'gone') return;
    this.#o.timers.cancelAll(activation);
    this.#o.background.abort(activation);
    this.#o.watch.release(activation);
    type.replies.forgetAll(activation);
    type.order.remove(activation);
    slot.remove(activation);
    activation.status = 'gone';
    type.durability?.removed(activation);
    type.resident -= 1;
    if (reason !== undefined) this.#o.metrics.deactivations(type.name, reason).inc();
    this.#o.onRemoved(activation);
  }

  #wait(turn: PendingTurn, promise: PromiseLike<unknown>, finish: (thrown: unknown, isFailed: boolean) => void): void {
    const { activation } = turn;
    activation.pending = turn;
    this.#o.watch.add(turn);
    const settled = (thrown: unknown, isFailed: boolean): void => {
      if (turn.abandoned) return;
      this.#giveUp(turn, () => finish(thrown, isFailed));
    };
    promise.then(
      () => settled(undefined, false),
      (thrown: unknown) => settled(thrown, true),
    );
  }

  #giveUp(turn: PendingTurn, finish: () => void): void {
    const { activation } = turn;
    turn.abandoned = true;
    this.#o.watch.remove(turn);
    this.#o.settle(turn, () => {
      activation.pending = undefined;
      finish();
      activation.slot.settled(activation);
    });
  }
}
