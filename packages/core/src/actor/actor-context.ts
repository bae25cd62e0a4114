import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Logger } from '../base/log.ts';
import type { Headers } from '../contract/calls.ts';
import type { DomainError } from './domain-error.ts';
import type { ActorHandle, NotifyHandle } from './handle-classes.ts';
import type { AnyContract, ErrorSpecs, MethodSpecs } from './method-spec.ts';

/** The part of a contract that the types of its handlers depend on. */
export interface ContractTypes {
  readonly methods: MethodSpecs;
  readonly errors: ErrorSpecs;
}

/**
 * What a handler sees of its actor, for one turn. After the turn ended, or was given up because it timed out or the shard moved,
 * every use throws `turn.abandoned`.
 */
export interface ActorContext<C extends ContractTypes, State, TimerName extends string = string> {
  readonly type: string;
  readonly key: string;
  readonly nodeId: string;
  /** Rises each time the shard of this key gets an owner: a fencing token for writes to other systems. */
  readonly epoch: number;
  /**
   * May be changed in place or set. Plain data, since it travels when the shard moves. What a handler left in it before it threw stays:
   * there is no rollback.
   */
  state: State;
  /** With the actor's type and key in each line. */
  readonly log: Logger;
  /** Of the request; none in timers and lifecycle hooks. */
  readonly headers: Headers;
  /** The wall clock of the node, in ms since 1970: virtual where a test gives the node such a clock, unlike `Date.now()`. */
  now(): number;
  /** Until the caller's deadline; `Infinity` where nobody waits. */
  remainingMs(): number;
  /** Aborts at the caller's deadline, when the turn times out, and when the shard moves before the turn could end. */
  readonly signal: AbortSignal;
  /** Calls to another actor: they inherit what is left of the deadline, the call chain and the trace headers. */
  actor<Other extends AnyContract>(contract: Other, key: string): ActorHandle<Other>;
  /** One-way messages to another actor: at most once, no answer. */
  notify<Other extends AnyContract>(contract: Other, key: string): NotifyHandle<Other>;
  /** One-way messages to this actor, each a turn of its own. May be used after the turn. */
  readonly self: NotifyHandle<C>;
  /**
   * Runs `work` beside the turns of this actor. It must not touch the state: its results come back as turns, by `work.self`.
   * It keeps the actor from being passivated; when the shard moves its signal aborts, and the move waits for it within `drainMs`.
   * A rejection is logged and counted. Throws `node.overloaded` when `backgroundMax` of them run for this actor.
   */
  background(work: BackgroundWork<C>): void;
  background(name: string, work: BackgroundWork<C>): void;
  readonly timers: ActorTimers<TimerName>;
  /** A domain error of the contract, to be thrown. */
  error<Code extends keyof C['errors'] & string>(
    code: Code,
    data: StandardSchemaV1.InferOutput<C['errors'][Code]>,
    message?: string,
  ): DomainError;
  /**
   * Gives the actor up, state included, as soon as nothing waits for it and neither background work nor remembered replies hold it; its timers
   * do not. Throws where the definition does not allow that with `passivateAfterMs`.
   */
  passivate(): void;
}

export type BackgroundWork<C extends ContractTypes> = (work: BackgroundContext<C>) => Promise<void>;

/** What background work may use after its turn has ended. */
export interface BackgroundContext<C extends ContractTypes> {
  /** Aborts when the actor is deactivated for any reason. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  readonly self: NotifyHandle<C>;
  actor<Other extends AnyContract>(contract: Other, key: string): ActorHandle<Other>;
  notify<Other extends AnyContract>(contract: Other, key: string): NotifyHandle<Other>;
}

/** `everyMs`: first after that time, then on a fixed grid; ticks that would overlap are left out, so at most one waits in the mailbox. */
export type TimerSchedule =
  { readonly afterMs: number; readonly everyMs?: undefined } | { readonly everyMs: number; readonly afterMs?: undefined };

/** Timers of one activation. Their ticks are turns, never early; they move with a planned handoff and otherwise end with the activation. */
export interface ActorTimers<TimerName extends string> {
  /** Replaces a timer of the same name. `input` is plain data and is copied. */
  set(name: TimerName, schedule: TimerSchedule, input?: unknown): void;
  /** After it no tick of the timer runs, not even one that was due. False when there was none. */
  cancel(name: TimerName): boolean;
}
