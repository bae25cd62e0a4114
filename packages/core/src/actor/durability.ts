import type { Clock } from '../base/clock.ts';
import type { Guard, InboundRequest } from '../contract/calls.ts';
import type { Activation } from './activation.ts';
import type { ActorType, HostedMethod } from './actor-type.ts';
import type { ContextServices } from './context-services.ts';
import type { FailureLog } from './failure-log.ts';
import type { DurableInspection } from './inspection.ts';
import type { ReplyOutcome } from './packed-reply.ts';
import type { TurnContext } from './turn-context.ts';

/** A reply that the store holds with the effect of its turn. */
export interface KeptReply {
  readonly idempotencyKey: string;
  readonly method: string;
  readonly caller: string;
  readonly ageMs: number;
  readonly outcome: ReplyOutcome;
}

/** An actor as its store holds it. */
export interface LoadedActor {
  readonly state: unknown;
  /** Nothing was stored of it yet. */
  readonly isNew: boolean;
  /** What `Durability` itself has to know of it. */
  readonly held: unknown;
  readonly replies: readonly KeptReply[];
}

/** One turn of a durable actor. */
export interface DurableTurn {
  readonly activation: Activation;
  /** Made by `Durability.contextOf`. */
  readonly ctx: TurnContext;
  /** Undefined for a tick. */
  readonly request: InboundRequest | undefined;
  readonly method: HostedMethod;
  /** Runs the handler with all that is around it; a promise where it is asynchronous. May be called again. */
  call(): unknown;
}

/** Is told what a turn came to. */
export interface OutcomeListener {
  onValue(value: unknown): void;
  onThrown(thrown: unknown): void;
}

/**
 * What a turn comes to when the store has answered. A promise for one listener, who is told in the very step in which it settles: what is said to
 * many actors in one step is said without a promise and a microtask for each of them.
 */
export class LaterOutcome {
  #listener: OutcomeListener | undefined = undefined;
  #isSettled = false;
  #isThrown = false;
  #settled: unknown = undefined;

  /** Called once. What is settled already is told in a microtask. */
  listen(listener: OutcomeListener): void {
    this.#listener = listener;
    if (this.#isSettled) queueMicrotask(() => this.#tell());
  }

  /** Only the first of `resolve` and `reject` counts. */
  resolve(value: unknown): void {
    this.#settle(false, value);
  }

  reject(thrown: unknown): void {
    this.#settle(true, thrown);
  }

  #settle(isThrown: boolean, settled: unknown): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#isThrown = isThrown;
    this.#settled = settled;
    this.#tell();
  }

  #tell(): void {
    if (this.#isThrown) this.#listener?.onThrown(this.#settled);
    else this.#listener?.onValue(this.#settled);
  }
}

/** Loads and stores the actors of one type. Made by `durable/`. */
export interface Durability {
  /** Rejects with a `PerkeyError` that says that nothing was executed. Does not touch the activation, which may be given up meanwhile. */
  load(activation: Activation): Promise<LoadedActor>;
  /** `method` is undefined for lifecycle hooks. */
  contextOf(activation: Activation, request: InboundRequest | undefined, method: HostedMethod | undefined): TurnContext;
  /**
   * Runs the turn and stores its effect. Returns what the turn comes to, at once where nothing has to be stored, else as a promise or
   * `LaterOutcome` that settles when the store has answered. Throws and rejects like the handler, or with a `TurnRefusal`.
   */
  run(turn: DurableTurn): unknown;
  /** What is in memory may not be what the store holds: the actor has to be loaded before its next turn. */
  isStale(activation: Activation): boolean;
  /** The actor has left memory. */
  removed(activation: Activation): void;
  /** Undefined before it was loaded. */
  inspect(activation: Activation): DurableInspection | undefined;
}

export interface DurabilityParts {
  readonly type: ActorType;
  readonly services: ContextServices;
  readonly guard: Guard;
  readonly clock: Clock;
  readonly failures: FailureLog;
}

/** Makes what the durable types of a node need. */
export type DurabilityFactory = (parts: DurabilityParts) => Durability;
