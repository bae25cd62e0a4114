import type { Clock } from '../base/clock.ts';
import type { PerkeyError } from '../base/errors.ts';
import { bareError } from '../base/bare-error.ts';
import { PerkeyError as RuntimeError } from '../base/errors.ts';
import { safeText } from '../base/log-text.ts';
import type { InboundRequest } from '../contract/calls.ts';
import type { Activation, Message } from './activation.ts';
import type { ActorMetrics } from './actor-metrics.ts';
import type { HostedMethod, TurnOutcome } from './actor-type.ts';
import type { ContextServices } from './context-services.ts';
import { DomainError, domainErrorReply } from './domain-error.ts';
import { type Durability, LaterOutcome } from './durability.ts';
import type { FailureLog } from './failure-log.ts';
import { checkInput } from './input-check.ts';
import type { MiddlewareChain } from './middleware-chain.ts';
import { checkOutput } from './output-check.ts';
import { OwnTurn, type WakeTurn } from './own-turn.ts';
import { PendingTurn } from './pending-turn.ts';
import { abandoned, expired, quarantined, TurnRefusal, turnRefusal, unknownMethod } from './refusals.ts';
import type { ReplyGate } from './reply-gate.ts';
import { isThenable } from '../base/thenable.ts';
import { Tick } from './timers.ts';
import { TurnContext } from './turn-context.ts';
import type { TurnWatch } from './turn-watch.ts';

export interface TurnRunnerOptions {
  readonly services: ContextServices;
  readonly clock: Clock;
  readonly gate: ReplyGate;
  readonly watch: TurnWatch;
  readonly failures: FailureLog;
  readonly metrics: ActorMetrics;
  readonly middleware: MiddlewareChain | undefined;
  readonly slowTurnMs: number;
  /** Runs `finish`, which ends an asynchronous turn, with nothing nested on it; then goes on with the actor's mailbox. */
  readonly settle: (activation: Activation, finish: () => void) => void;
  /** Refuses all requests in the actor's mailbox; ticks stay. */
  readonly refuseWaiting: (activation: Activation, error: PerkeyError) => void;
  /** The turn of an actor with extras has ended. */
  readonly afterTurn: (activation: Activation) => void;
}

/** Runs turns, each from its checks to its reply (I7: the scheduler starts one only when the one before has ended). */
export class TurnRunner {
  readonly #o: TurnRunnerOptions;
  #quarantined = 0;

  constructor(options: TurnRunnerOptions) {
    this.#o = options;
  }

  get quarantined(): number {
    return this.#quarantined;
  }

  /**
   * Runs one message of an idle actor; the guard was asked with `now`. Returns the time at its end, or when it became asynchronous:
   * one reading of the clock for each turn, which is the start of the next.
   */
  run(activation: Activation, message: Message, now: number): number {
    const end = message instanceof OwnTurn ? this.#runOwn(activation, message, now) : this.#runRequest(activation, message, now);
    if (end - now > this.#o.slowTurnMs) {
      const name = message instanceof OwnTurn ? message.name : message.method;
      this.#o.failures.note(activation, name, { ms: Math.round(end - now) }, 'a turn held the event loop');
    }
    return end;
  }

  #runRequest(activation: Activation, message: InboundRequest, now: number): number {
    const { type } = activation;
    const method = type.methods.get(message.method) ?? type.fallback;
    if (method === undefined) return this.#refuse(activation, undefined, message, unknownMethod(type.name, message.method), now);
    // I8: what expired while it waited never starts.
    if (message.deadline <= now) return this.#refuse(activation, method, message, expired(), now);
    if (message.idempotencyKey !== undefined && this.#isAnswered(activation, method, message, now)) return now;
    const { durability } = type;
    const ctx =
      durability === undefined ? new TurnContext(activation, message, this.#o.services) : durability.contextOf(activation, message, method);
    activation.status = 'running';
    let value: unknown;
    try {
      value =
        durability === undefined
          ? this.#call(activation, method, ctx, message)
          : this.#callDurable(durability, activation, method, ctx, message);
    } catch (thrown) {
      return this.#end(activation, method, ctx, message, now, this.#errorOf(activation, method, thrown), undefined);
    }
    if (value instanceof LaterOutcome || isThenable(value)) return this.#wait(activation, method, ctx, message, now, value);
    return this.#end(activation, method, ctx, message, now, undefined, value);
  }

  /** By itself, since a function within keeps what it sees in memory of its own, which turns that are not stored do not pay for. */
  #callDurable(durability: Durability, activation: Activation, method: HostedMethod, ctx: TurnContext, request: InboundRequest): unknown {
    return durability.run({ activation, ctx, request, method, call: () => this.#call(activation, method, ctx, request) });
  }

  #call(activation: Activation, method: HostedMethod, ctx: TurnContext, request: InboundRequest): unknown {
    return method.input === undefined
      ? this.#invoke(activation, method, ctx, request, undefined)
      : this.#checked(activation, method, method.input, ctx, request);
  }

  #checked(
    activation: Activation,
    method: HostedMethod,
    schema: NonNullable<HostedMethod['input']>,
    ctx: TurnContext,
    request: InboundRequest,
  ): unknown {
    const result = checkInput(activation.type.name, method.name, schema, request.input);
    if (!(result instanceof Promise)) return this.#invoke(activation, method, ctx, request, result.value);
    return result.then(({ value }) => {
      // The turn has begun, but its handler has not: it may have become too late for that meanwhile.
      if (!TurnContext.isLive(ctx) || request.deadline <= this.#o.clock.now()) throw turnRefusal(expired());
      return this.#invoke(activation, method, ctx, request, value);
    });
  }

  #invoke(activation: Activation, method: HostedMethod, ctx: TurnContext, request: InboundRequest, checked: unknown): unknown {
    const input = method.isFallback ? { method: request.method, input: request.input } : checked;
    const { middleware } = this.#o;
    if (middleware === undefined && method.output === undefined) return method.run(ctx, input);
    const handler = (): unknown => method.run(ctx, input);
    const value = middleware === undefined ? handler() : middleware.run(activation, request, input, handler);
    if (method.output === undefined) return value;
    return checkOutput(activation.type.name, method.name, method.output, value);
  }

  #runOwn(activation: Activation, turn: Tick | WakeTurn, now: number): number {
    const { services } = this.#o;
    const { durability, ticks, wake } = activation.type;
    if (turn instanceof Tick && !services.timers.begin(activation, turn)) return now;
    const method = turn instanceof Tick ? ticks.get(turn.timer.name) : wake;
    if (method === undefined) return now;
    const ctx =
      durability === undefined ? new TurnContext(activation, undefined, services) : durability.contextOf(activation, undefined, method);
    const call = (): unknown => method.run(ctx, turn instanceof Tick ? turn.timer.input : undefined);
    activation.status = 'running';
    let value: unknown;
    try {
      value = durability === undefined ? call() : durability.run({ activation, ctx, request: undefined, method, call });
    } catch (thrown) {
      return this.#end(activation, method, ctx, undefined, now, this.#errorOf(activation, method, thrown), undefined);
    }
    if (value instanceof LaterOutcome || isThenable(value)) return this.#wait(activation, method, ctx, undefined, now, value);
    return this.#end(activation, method, ctx, undefined, now, undefined, value);
  }

  /** I4: answers a repeat from the window; false for a key that is new, which is entered. */
  #isAnswered(activation: Activation, method: HostedMethod, request: InboundRequest, now: number): boolean {
    const found = activation.type.replies.begin(activation, request, now);
    if (found.kind === 'new') return false;
    if (found.kind === 'refused') {
      this.#refuse(activation, method, request, found.error, now);
      return true;
    }
    if (found.kind === 'ok') this.#o.gate.ok(activation.slot, request, found.value, now);
    else this.#o.gate.error(activation.slot, request, found.error, now);
    method.count('replayed');
    return true;
  }

  #refuse(activation: Activation, method: HostedMethod | undefined, request: InboundRequest, error: PerkeyError, now: number): number {
    if (method === undefined) this.#o.metrics.refused(activation.type.name, error.code);
    else method.count(error.code);
    request.reply.error(request.id, error);
    return now;
  }

  /** The end of a turn, in the order: the context ends, the clock is read, the outcome is remembered, the reply leaves if it may. */
  #end(
    activation: Activation,
    method: HostedMethod,
    ctx: TurnContext,
    request: InboundRequest | undefined,
    startedAt: number,
    error: PerkeyError | undefined,
    value: unknown,
  ): number {
    TurnContext.revoke(ctx);
    const now = this.#o.clock.now();
    const { type, slot } = activation;
    if (activation.status === 'gone') {
      request?.reply.error(request.id, abandoned());
      return now;
    }
    this.#rest(activation);
    type.order.touch(activation, now);
    if (request !== undefined) {
      const result = method.answers ? value : undefined;
      if (request.idempotencyKey !== undefined) this.#remember(activation, request.idempotencyKey, error, result);
      if (error === undefined) this.#o.gate.ok(slot, request, result, now);
      else this.#o.gate.error(slot, request, error, now);
    }
    const ms = now - startedAt;
    type.noteTurn(ms);
    method.count((error === undefined ? 'ok' : error.code) satisfies TurnOutcome);
    method.seconds.observe(ms / 1_000);
    if (slot.phase !== 'open') slot.settled(activation);
    if (activation.extras !== undefined) this.#o.afterTurn(activation);
    return now;
  }

  /** An actor that may not be what its store holds is loaded again before its next turn. */
  #rest(activation: Activation): void {
    const { durability } = activation.type;
    if (durability === undefined || !durability.isStale(activation)) activation.rest();
    else activation.unload();
  }

  #remember(activation: Activation, key: string, error: PerkeyError | undefined, value: unknown): void {
    const { replies } = activation.type;
    if (error === undefined) replies.complete(activation, key, { kind: 'ok', value });
    else if (error.executed !== 'yes') replies.forget(activation, key);
    else replies.complete(activation, key, { kind: 'error', error });
  }

  #wait(
    activation: Activation,
    method: HostedMethod,
    ctx: TurnContext,
    request: InboundRequest | undefined,
    startedAt: number,
    promise: PromiseLike<unknown> | LaterOutcome,
  ): number {
    const turn = new PendingTurn(activation, method.name, ctx, request, startedAt, (late) => this.#quarantine(late));
    activation.pending = turn;
    this.#o.watch.add(turn);
    const onValue = (value: unknown): void => this.#settled(turn, method, undefined, value);
    const onThrown = (thrown: unknown): void => this.#settled(turn, method, this.#errorOf(activation, method, thrown), undefined);
    if (promise instanceof LaterOutcome) promise.listen(onValue, onThrown);
    else promise.then(onValue, onThrown);
    return this.#o.clock.now();
  }

  #settled(turn: PendingTurn, method: HostedMethod, error: PerkeyError | undefined, value: unknown): void {
    const { activation, ctx, request } = turn;
    if (turn.abandoned) return;
    this.#o.watch.remove(turn);
    this.#o.settle(activation, () => {
      activation.pending = undefined;
      if (turn.timedOut) this.#lift(turn, error, method.answers ? value : undefined);
      else this.#end(activation, method, ctx, request, turn.startedAt, error, value);
    });
  }

  /** F16: the turn is given up, the actor is not: it stays as it is and takes no requests until the turn settles. */
  #quarantine(turn: PendingTurn): void {
    const { activation, ctx, request, name } = turn;
    const { watch, metrics, failures } = this.#o;
    watch.remove(turn);
    turn.timedOut = true;
    activation.status = 'quarantined';
    this.#quarantined += 1;
    metrics.turnTimeouts(activation.type.name).inc();
    failures.note(
      activation,
      name,
      { turnTimeoutMs: activation.type.definition.turnTimeoutMs },
      'a turn outlived its time limit; the actor is quarantined',
    );
    const error = bareError('turn.timeout', `a turn of ${activation.type.name}.${name} did not settle within its time limit`);
    TurnContext.revoke(ctx);
    TurnContext.abort(ctx, error);
    request?.reply.error(request.id, error);
    this.#o.refuseWaiting(activation, quarantined(activation.type.name));
    if (activation.extras !== undefined) this.#o.afterTurn(activation);
    activation.slot.settled(activation);
  }

  #lift(turn: PendingTurn, error: PerkeyError | undefined, value: unknown): void {
    const { activation, request, name } = turn;
    this.#quarantined -= 1;
    if (request?.idempotencyKey !== undefined) this.#remember(activation, request.idempotencyKey, error, value);
    this.#rest(activation);
    this.#o.failures.note(activation, name, {}, 'the turn settled after all; its actor takes requests again');
  }

  /**
   * The actor leaves this node before its turn or hook could end: the context ends, and the caller is told that nobody knows.
   * Afterwards the actor is at rest, or dormant if it was never activated.
   */
  abandon(activation: Activation): void {
    const turn = activation.pending;
    if (turn === undefined) return;
    turn.abandoned = true;
    activation.pending = undefined;
    this.#o.watch.remove(turn);
    const error = abandoned();
    TurnContext.revoke(turn.ctx);
    TurnContext.abort(turn.ctx, error);
    if (turn.timedOut) this.#quarantined -= 1;
    else turn.request?.reply.error(turn.request.id, error);
    if (activation.status === 'activating') activation.status = 'dormant';
    else this.#rest(activation);
  }

  #errorOf(activation: Activation, method: HostedMethod, thrown: unknown): PerkeyError {
    const { type } = activation;
    if (thrown instanceof TurnRefusal) {
      if (thrown.error.cause !== undefined) this.#o.failures.threw(activation, method.name, thrown.error.cause);
      return thrown.error;
    }
    if (thrown instanceof DomainError && thrown.actorType === type.name) return domainErrorReply(thrown);
    this.#o.failures.threw(activation, method.name, thrown);
    // The text of what was thrown may hold what the caller must not see; it stays in the log.
    const name = safeText(thrown instanceof Error ? thrown.name : typeof thrown, 64);
    const code = thrown instanceof RuntimeError ? { cause: thrown.code } : {};
    const details = { type: type.name, method: method.name, error: name, ...code };
    return bareError('handler.failed', `the handler of ${type.name}.${method.name} threw ${name}`, { details });
  }
}
