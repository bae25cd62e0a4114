import { PerkeyError } from '../base/errors.ts';
import type { Activation } from './activation.ts';
import { ActivationFailures } from './activation-failures.ts';
import { ActorMetrics } from './actor-metrics.ts';
import { ActorType } from './actor-type.ts';
import type { ActorHostOptions } from './actor-host.ts';
import { BackgroundRunner } from './background.ts';
import type { ContextServices } from './context-services.ts';
import { FailureLog } from './failure-log.ts';
import { checkDefinition } from './hosted-definition.ts';
import { isIdle, Janitor } from './janitor.ts';
import { Lifecycle } from './lifecycle.ts';
import { MiddlewareChain } from './middleware-chain.ts';
import { ReplyGate } from './reply-gate.ts';
import { Scheduler } from './scheduler.ts';
import { storeMissing } from './refusals.ts';
import { ShardCloser } from './shard-closer.ts';
import { TimerService } from './timers.ts';
import { TurnRunner } from './turn-runner.ts';
import { TurnWatch } from './turn-watch.ts';

const forgottenCall = 'a call failed when the turn that made it had ended already; await calls, or use ctx.notify or ctx.background';

/** The parts of a node's actor host, wired to each other. */
export class HostParts {
  readonly types: readonly ActorType[];
  readonly typeByName: ReadonlyMap<string, ActorType>;
  readonly metrics: ActorMetrics;
  readonly activationFailures: ActivationFailures;
  readonly gate: ReplyGate;
  readonly timers: TimerService;
  readonly background: BackgroundRunner;
  readonly watch: TurnWatch;
  readonly scheduler: Scheduler;
  readonly runner: TurnRunner;
  readonly lifecycle: Lifecycle;
  readonly janitor: Janitor;
  readonly closer: ShardCloser;
  readonly #failures: FailureLog;

  constructor(options: ActorHostOptions, onRemoved: (activation: Activation) => void) {
    const { clock, settings, caller, guard } = options;
    this.metrics = new ActorMetrics(options.metrics);
    this.types = this.#typesOf(options);
    this.typeByName = new Map(this.types.map((type) => [type.name, type]));
    this.activationFailures = new ActivationFailures(clock, options.random);
    this.gate = new ReplyGate(guard);
    this.#failures = new FailureLog(options.log, clock, this.metrics);
    const logOf = (activation: Activation): ReturnType<FailureLog['logOf']> => this.#failures.logOf(activation);
    this.timers = new TimerService(clock, (activation, tick) => this.scheduler.deliver(activation, tick));
    this.background = new BackgroundRunner({
      backgroundMax: settings.backgroundMax,
      keyBytesMax: settings.keyBytesMax,
      caller,
      logOf,
      onFailure: (activation, where, thrown) => this.#failures.threw(activation, where, thrown),
      onEnd: (activation) => this.#passivateIfAsked(activation),
    });
    this.watch = new TurnWatch({
      clock,
      expireWaiting: (activation, now) => this.scheduler.expireWaiting(activation, now),
      cancelWaiting: (activation, chosen) => this.scheduler.cancelWaiting(activation, chosen),
      expireSuspended: (now) => {
        const isSuspended = this.scheduler.expireSuspended(now);
        this.scheduler.onRest?.();
        return isSuspended;
      },
    });
    this.scheduler = this.#makeScheduler(options);
    const { nodeId } = options;
    const services: ContextServices = {
      ...{ nodeId, keyBytesMax: settings.keyBytesMax, clock, caller, timers: this.timers, background: this.background, logOf },
      onForgotten: (activation, thrown) => this.#failures.note(activation, 'call', { err: thrown }, forgottenCall),
    };
    for (const type of this.types) this.#makeDurable(type, services, options);
    this.runner = this.#makeRunner(options, services);
    this.lifecycle = this.#makeLifecycle(options, services, onRemoved);
    this.janitor = new Janitor({
      clock,
      types: this.types,
      roundMsMax: Math.max(1, settings.yieldAfterMs),
      passivate: (activation) => this.scheduler.enter(() => this.lifecycle.passivate(activation)),
    });
    this.closer = new ShardCloser({ ...this.#shared(), clock, yieldAfterMs: settings.yieldAfterMs });
    this.#observe();
  }

  #typesOf(options: ActorHostOptions): readonly ActorType[] {
    const names = new Set<string>();
    return options.definitions.map((definition, index) => {
      const { contract } = definition;
      if (names.has(contract.type)) {
        throw new PerkeyError('actor.duplicate_type', `two definitions of this node share the actor type "${contract.type}"`);
      }
      names.add(contract.type);
      return new ActorType(index, contract, checkDefinition(definition, options.settings), this.metrics, () => this.janitor.arm());
    });
  }

  #makeDurable(type: ActorType, services: ContextServices, { durability, guard, clock }: ActorHostOptions): void {
    if (type.definition.durable === undefined) return;
    if (durability === undefined) throw storeMissing(type.name);
    type.durability = durability({ type, services, guard, clock, failures: this.#failures });
  }

  readonly #settle = (activation: Activation, finish: () => void): void => {
    this.scheduler.enter(() => {
      finish();
      this.scheduler.ready(activation);
    });
  };

  #makeScheduler(options: ActorHostOptions): Scheduler {
    const { clock, guard, settings, log } = options;
    return new Scheduler({
      clock,
      guard,
      nodeQueueMax: settings.nodeQueueMax,
      yieldAfterMs: settings.yieldAfterMs,
      run: (activation, message, now) => this.runner.run(activation, message, now),
      activate: (activation) => this.lifecycle.activate(activation),
      onUnused: (activation) => this.lifecycle.discard(activation),
      onSuspended: () => this.watch.arm(),
      onRefused: (type, code) => this.metrics.refused(type, code),
      onDefect: (err) => log.error({ err }, 'the runtime failed inside a turn'),
    });
  }

  #makeRunner(options: ActorHostOptions, services: ContextServices): TurnRunner {
    const { clock, settings, middleware } = options;
    const hasMiddleware = middleware !== undefined && middleware.length > 0;
    return new TurnRunner({
      ...this.#shared(),
      services,
      clock,
      middleware: hasMiddleware ? new MiddlewareChain(middleware, clock) : undefined,
      slowTurnMs: settings.slowTurnMs,
      settle: this.#settle,
      refuseWaiting: (activation, error) => this.scheduler.refuseWaiting(activation, error),
      afterTurn: (activation) => this.#afterTurn(activation),
    });
  }

  #makeLifecycle(options: ActorHostOptions, services: ContextServices, onRemoved: (activation: Activation) => void): Lifecycle {
    return new Lifecycle({
      ...this.#shared(),
      services,
      activationFailures: this.activationFailures,
      now: () => options.clock.now(),
      settle: this.#settle,
      clear: (activation, error) => this.scheduler.clear(activation, error),
      onRemoved,
    });
  }

  #shared() {
    const { scheduler, runner, lifecycle, timers, background, gate, watch, metrics } = this;
    return { scheduler, runner, lifecycle, timers, background, gate, watch, metrics, failures: this.#failures };
  }

  #afterTurn(activation: Activation): void {
    const { extras } = activation;
    const onTurnEnd = extras?.onTurnEnd;
    if (extras !== undefined && onTurnEnd !== undefined) {
      extras.onTurnEnd = undefined;
      onTurnEnd();
    }
    this.#passivateIfAsked(activation);
  }

  #passivateIfAsked(activation: Activation): void {
    if (activation.extras?.wantsPassivation !== true || activation.slot.phase !== 'open' || !isIdle(activation)) return;
    this.scheduler.enter(() => this.lifecycle.passivate(activation));
  }

  #observe(): void {
    const { metrics, scheduler, watch, runner, gate, background } = this;
    metrics.observe({
      waiting: () => scheduler.waiting,
      running: () => watch.size,
      quarantined: () => runner.quarantined,
      withheld: () => gate.withheld,
      background: () => background.running,
    });
    for (const type of this.types) {
      metrics.resident(type.name, () => type.resident);
      metrics.remembered(type.name, () => type.replies.size);
    }
  }
}
