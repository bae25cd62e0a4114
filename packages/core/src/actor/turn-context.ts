import type { PerkeyError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { noHeaders } from '../contract/calls.ts';
import type { Headers, InboundRequest } from '../contract/calls.ts';
import type { ActorContext, ActorTimers, BackgroundWork, TimerSchedule } from './actor-context.ts';
import type { Activation } from './activation.ts';
import type { ContextServices } from './context-services.ts';
import { DomainError } from './domain-error.ts';
import { bindHandle, bindNotifyHandle } from './handle-classes.ts';
import type { ActorHandle, NotifyHandle } from './handle-classes.ts';
import type { AnyContract } from './method-spec.ts';
import { invalidKey, isKey } from './names.ts';
import { deadlinePassed, endedTurn } from './refusals.ts';
import { TurnCaller } from './turn-caller.ts';
import { withoutStack } from './without-stack.ts';

/** What few turns ask for. */
class OnDemand {
  controller: AbortController | undefined = undefined;
  log: Logger | undefined = undefined;
  caller: TurnCaller | undefined = undefined;
}

/** The context of one turn or hook: one small object, made of references, that lets go of its actor when the turn ends. */
export class TurnContext implements ActorContext<AnyContract, unknown> {
  /** Undefined once the turn has ended or was given up. */
  #activation: Activation | undefined;
  readonly #request: InboundRequest | undefined;
  readonly #services: ContextServices;
  #onDemand: OnDemand | undefined = undefined;

  constructor(activation: Activation, request: InboundRequest | undefined, services: ContextServices) {
    this.#activation = activation;
    this.#request = request;
    this.#services = services;
  }

  /** I7: from here on every use throws, so that code left over from this turn cannot act in another one. */
  static revoke(ctx: TurnContext): void {
    ctx.#activation = undefined;
  }

  static isLive(ctx: TurnContext): boolean {
    return ctx.#activation !== undefined;
  }

  /** Aborts `ctx.signal` where somebody holds it. */
  static abort(ctx: TurnContext, reason: PerkeyError): void {
    ctx.#onDemand?.controller?.abort(reason);
  }

  /** The same, also for whoever asks for the signal later. */
  static cancel(ctx: TurnContext, reason: PerkeyError): void {
    const lazy = ctx.#lazy;
    lazy.controller ??= new AbortController();
    lazy.controller.abort(reason);
  }

  /** For contexts that add to this one: who calls from it, and what it works for. */
  static callerOf(ctx: TurnContext): TurnCaller {
    return ctx.#caller();
  }

  static requestOf(ctx: TurnContext): InboundRequest | undefined {
    return ctx.#request;
  }

  /** Throws `key.invalid`. */
  static checkedKey(ctx: TurnContext, key: string): string {
    return ctx.#checkedKey(key);
  }

  get #live(): Activation {
    if (this.#activation === undefined) throw endedTurn();
    return this.#activation;
  }

  get #lazy(): OnDemand {
    return (this.#onDemand ??= new OnDemand());
  }

  get type(): string {
    return this.#live.type.name;
  }

  get key(): string {
    return this.#live.key;
  }

  get nodeId(): string {
    return this.#services.nodeId;
  }

  get epoch(): number {
    return this.#live.slot.epoch;
  }

  get state(): unknown {
    return this.#live.state;
  }

  set state(state: unknown) {
    this.#live.state = state;
  }

  get log(): Logger {
    const activation = this.#live;
    return (this.#lazy.log ??= this.#services.logOf(activation));
  }

  get headers(): Headers {
    return this.#request === undefined ? noHeaders : this.#request.headers;
  }

  now(): number {
    return this.#services.clock.wall();
  }

  remainingMs(): number {
    return this.#request === undefined ? Infinity : Math.max(0, this.#request.deadline - this.#services.clock.now());
  }

  get signal(): AbortSignal {
    void this.#live;
    const lazy = this.#lazy;
    if (lazy.controller === undefined) {
      lazy.controller = new AbortController();
      if (this.remainingMs() <= 0) lazy.controller.abort(deadlinePassed());
    }
    return lazy.controller.signal;
  }

  actor<Other extends AnyContract>(contract: Other, key: string): ActorHandle<Other> {
    return bindHandle(contract, this.#checkedKey(key), this.#caller());
  }

  notify<Other extends AnyContract>(contract: Other, key: string): NotifyHandle<Other> {
    return bindNotifyHandle(contract, this.#checkedKey(key), this.#caller());
  }

  get self(): NotifyHandle<AnyContract> {
    const { type, key } = this.#live;
    return bindNotifyHandle(type.contract, key, this.#services.caller());
  }

  background(...args: readonly [BackgroundWork<AnyContract>] | readonly [string, BackgroundWork<AnyContract>]): void {
    const [name, work] = args.length === 1 ? ['work', args[0]] : args;
    this.#services.background.start(this.#live, name, work);
  }

  get timers(): ActorTimers<string> {
    return new TurnTimers(this, this.#services);
  }

  error(code: string, data: unknown, message?: string): DomainError {
    const { contract } = this.#live.type;
    if (!Object.hasOwn(contract.errors, code)) throw new TypeError(`actor ${contract.type} declares no error "${code}"`);
    return withoutStack(() => new DomainError(contract.type, code, data, message ?? `${contract.type}: ${code}`));
  }

  passivate(): void {
    const activation = this.#live;
    if (activation.type.definition.passivateAfterMs === undefined) {
      throw new TypeError(`actor ${activation.type.name} has no passivateAfterMs, so its state may not be given up`);
    }
    activation.own.wantsPassivation = true;
  }

  /** For the context's own helpers: the actor while the turn lasts. */
  static activationOf(ctx: TurnContext): Activation {
    return ctx.#live;
  }

  #checkedKey(key: string): string {
    if (!isKey(key, this.#services.keyBytesMax)) throw invalidKey(key, this.#services.keyBytesMax);
    return key;
  }

  #caller(): TurnCaller {
    const activation = this.#live;
    const services = this.#services;
    const isLive = (): boolean => this.#activation !== undefined;
    const onForgotten = (thrown: unknown): void => services.onForgotten(activation, thrown);
    return (this.#lazy.caller ??= new TurnCaller(services.caller(), activation.address, this.#request, isLive, onForgotten));
  }
}

class TurnTimers implements ActorTimers<string> {
  readonly #ctx: TurnContext;
  readonly #services: ContextServices;

  constructor(ctx: TurnContext, services: ContextServices) {
    this.#ctx = ctx;
    this.#services = services;
  }

  set(name: string, schedule: TimerSchedule, input?: unknown): void {
    this.#services.timers.set(TurnContext.activationOf(this.#ctx), name, schedule, input);
  }

  cancel(name: string): boolean {
    return this.#services.timers.cancel(TurnContext.activationOf(this.#ctx), name);
  }
}
