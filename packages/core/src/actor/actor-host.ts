import { bareError } from '../base/bare-error.ts';
import type { Clock } from '../base/clock.ts';
import { PerkeyError } from '../base/errors.ts';
import { safeText } from '../base/log-text.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import type { Random } from '../base/random.ts';
import type { Caller, CarriedActor, Guard, InboundRequest } from '../contract/calls.ts';
import { Activation } from './activation.ts';
import type { ActorType } from './actor-type.ts';
import { Authorization, type Authorize } from './authorization.ts';
import { ActivationControl } from './control.ts';
import type { ActorDefinition } from './definition.ts';
import type { DurabilityFactory } from './durability.ts';
import { HostParts } from './host-parts.ts';
import type { ActorControl, ActorInspection, HostInspection } from './inspection.ts';
import { inspectActor, inspectHost } from './inspect-host.ts';
import type { AnyContract } from './method-spec.ts';
import type { TurnMiddleware } from './middleware.ts';
import { invalidKey, isKey } from './names.ts';
import { wakeTurn } from './own-turn.ts';
import { shardMoved, unknownMethod } from './refusals.ts';
import type { ActorSettings } from './settings.ts';
import { ShardSlot } from './shard-slot.ts';

export interface ActorHostOptions {
  readonly nodeId: string;
  readonly definitions: readonly ActorDefinition[];
  readonly settings: ActorSettings;
  /** The first is the outermost. */
  readonly middleware?: readonly TurnMiddleware[];
  /** Asked for each request before anything is done for it. */
  readonly authorize?: Authorize | undefined;
  readonly guard: Guard;
  /** For the calls of actors; asked for each time. */
  readonly caller: () => Caller;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Loads and stores durable actors; without it their definitions are refused. */
  readonly durability?: DurabilityFactory | undefined;
}

export interface CloseShardOptions {
  /** How long running turns, background work and `onDeactivate` may take, together. */
  readonly drainMs: number;
  /** The node that refused requests are sent to, if it is known. */
  readonly successor: string | undefined;
}

/** The actors of one node. */
export class ActorHost {
  readonly #parts: HostParts;
  readonly #o: ActorHostOptions;
  readonly #authorization: Authorization | undefined;
  readonly #slots: (ShardSlot | undefined)[] = [];
  #resident = 0;
  #isStopping = false;
  #stopped: Promise<void> | undefined = undefined;
  #quietWaiters: (() => void)[] = [];

  /** Throws `contract.invalid`, `actor.duplicate_type`, and `store.missing` for a durable type without `durability`. */
  constructor(options: ActorHostOptions) {
    this.#o = options;
    this.#parts = new HostParts(options, (activation) => this.#removed(activation));
    this.#authorization = options.authorize && this.#authorizationOf(options.authorize);
  }

  /** The contracts hosted here. */
  get contracts(): readonly AnyContract[] {
    return this.#parts.types.map((type) => type.contract);
  }

  /**
   * Takes a request for a shard of this node. Never throws: every outcome goes to `request.reply`, for most synchronous handlers before this returns.
   * Requests for one key run in the order of the calls.
   */
  admit(shard: number, request: InboundRequest, isAwaited: boolean = false): void {
    const slot = this.#slots[shard];
    if (slot === undefined || (slot.phase !== 'open' && !(isAwaited && slot.isLeaving))) {
      this.#refuse(request, '', this.#notOpen(shard, slot));
      return;
    }
    const type = this.#parts.typeByName.get(request.type);
    if (type === undefined) {
      this.#refuse(
        request,
        '',
        bareError(
          'actor.not_hosted',
          'the node that owns the shard of this key does not host the actor type; let every node host the same types',
        ),
      );
      return;
    }
    if (this.#authorization !== undefined && !this.#isAuthorized(this.#authorization, shard, request)) return;
    this.#deliver(slot, type, request);
  }

  #deliver(slot: ShardSlot, type: ActorType, request: InboundRequest): void {
    if (request.chain.length > 0 && this.#closesCycle(request)) return;
    const activation = slot.find(type, request.key) ?? this.#create(slot, type, request);
    if (activation === undefined) return;
    if (activation.status === 'dormant' && this.#mustWait(activation, request)) return;
    if (slot.phase === 'open') this.#parts.scheduler.deliver(activation, request);
    else this.#parts.closer.awaitTurn(activation, request);
  }

  /** See `RequestHost`. */
  isLeaving(chain: readonly string[], isOneWay: boolean): boolean {
    return this.#parts.closer.isLeaving(chain, isOneWay);
  }

  /** See `RequestHost`. */
  leavingEpoch(shard: number, isHeldLong: boolean): number | undefined {
    const slot = this.#slots[shard];
    if (slot?.isLeaving !== true || (isHeldLong && this.#o.clock.now() >= slot.halfTimeAt)) return undefined;
    return slot.epoch;
  }

  /**
   * Brings a durable actor into memory, past the authorisation hook, and runs `request` there where one is given. False, and then nothing comes of it:
   * the shard is not open here, the type is not hosted, there is no room, or its activation failed just before.
   */
  wake(shard: number, type: string, key: string, request?: InboundRequest): boolean {
    const slot = this.#slots[shard];
    const hosted = this.#parts.typeByName.get(type);
    const { keyBytesMax, actorsResidentMax } = this.#o.settings;
    if (slot === undefined || slot.phase !== 'open' || hosted?.durability === undefined || !isKey(key, keyBytesMax)) return false;
    const known = slot.find(hosted, key);
    if (known === undefined && this.#resident >= actorsResidentMax && !this.#parts.janitor.makeRoom()) return false;
    const activation = known ?? this.#add(slot, hosted, key);
    const isBarred = activation.status === 'dormant' && this.#parts.activationFailures.refusal(activation.address) !== undefined;
    if (isBarred && activation.queue === undefined && !activation.hasState) this.#parts.lifecycle.remove(activation, undefined);
    if (isBarred) return false;
    this.#parts.scheduler.deliver(activation, request ?? wakeTurn);
    return true;
  }

  /** Runs `admitAll`, which admits requests without pause, such as those of one frame, with half the readings of the clock. */
  admitTogether(admitAll: () => void): void {
    this.#parts.scheduler.together(admitAll);
  }

  /** The caller of the chosen requests waits no longer: what waits behind a turn is taken out, a running turn sees its signal abort. */
  cancel(chosen: (request: InboundRequest) => boolean): void {
    this.#parts.watch.cancel(chosen);
    this.#authorization?.cancel(chosen);
  }

  /** Takes requests for the shard from now on. Carried actors are resident at once, whatever the limits. */
  openShard(shard: number, epoch: number, carried: readonly CarriedActor[]): void {
    const known = this.#slots[shard];
    if (known !== undefined) void this.#drop(known, 'lost', shardMoved(shard, undefined));
    if (this.#isStopping) return;
    const slot = new ShardSlot(shard, epoch);
    this.#slots[shard] = slot;
    for (const actor of carried) this.#carryIn(slot, actor);
  }

  /**
   * Stops admission at once, refuses what waits with `shard.moved`, lets running turns and background work end within `drainMs`, abandons the rest,
   * and resolves with the actors as plain data. Never rejects. `openShard` may give the shard back.
   */
  async closeShard(shard: number, options: CloseShardOptions): Promise<readonly CarriedActor[]> {
    const slot = this.#slots[shard];
    if (slot === undefined || slot.phase !== 'open') return [];
    this.#authorization?.refuseShard(shard, shardMoved(shard, options.successor));
    const carried = await this.#parts.closer.close(slot, options.drainMs, options.successor);
    if (this.#slots[shard] === slot) this.#slots[shard] = undefined;
    this.#parts.scheduler.onRest?.();
    return carried;
  }

  /** The shard was lost: nothing of it is answered or kept. A `closeShard` under way resolves with no actors. */
  dropShard(shard: number): void {
    const slot = this.#slots[shard];
    if (slot !== undefined) void this.#drop(slot, 'lost', shardMoved(shard, undefined));
  }

  /** The guard lets this node act again: sends withheld replies and goes on with what waits. */
  resume(): void {
    this.#parts.gate.flush(this.#o.clock.now());
    this.#parts.scheduler.resume();
  }

  /** Resolves when no turn runs and nothing waits; at once if that is so. */
  drainTurns(): Promise<void> {
    const { scheduler, watch } = this.#parts;
    return new Promise((resolve) => {
      scheduler.onRest = () => {
        if (scheduler.waiting > 0 || watch.size > 0 || (this.#authorization?.size ?? 0) > 0) return;
        scheduler.onRest = undefined;
        for (const resolveOne of this.#quietWaiters.splice(0)) resolveOne();
      };
      this.#quietWaiters.push(resolve);
      scheduler.onRest();
    });
  }

  /**
   * Refuses what waits and all that comes with `node.stopped`, abandons running turns, runs `onDeactivate`. Resolves when the hooks have run,
   * at the latest after `drainMs`. Idempotent.
   */
  stop(drainMs: number = 1_000): Promise<void> {
    this.#isStopping = true;
    this.#stopped ??= this.#stop(drainMs);
    return this.#stopped;
  }

  /** Counts, and the `top` deepest mailboxes. Takes time by what is queued, not by what is resident. */
  inspect(top: number = 10): HostInspection {
    const shards = this.#slots.filter((slot) => slot !== undefined).length;
    return inspectHost(this.#parts, shards, this.#resident, top);
  }

  /** One resident actor; undefined when it is not resident. */
  inspectActor(type: string, key: string): ActorInspection | undefined {
    const activation = this.#find(type, key);
    return activation === undefined ? undefined : inspectActor(activation);
  }

  /** A hold on one resident actor, for tests; undefined when it is not resident. */
  control(type: string, key: string): ActorControl | undefined {
    const activation = this.#find(type, key);
    if (activation === undefined) return undefined;
    const { scheduler, watch } = this.#parts;
    const { guard, clock } = this.#o;
    return new ActivationControl(activation, { scheduler, watch, guard, clock });
  }

  #find(type: string, key: string): Activation | undefined {
    const known = this.#parts.typeByName.get(type);
    if (known === undefined) return undefined;
    for (const slot of this.#slots) {
      const activation = slot?.find(known, key);
      if (activation !== undefined) return activation;
    }
    return undefined;
  }

  #authorizationOf(authorize: Authorize): Authorization {
    const { clock, log, settings } = this.#o;
    return new Authorization({
      ...{ authorize, clock, log, timeoutMs: settings.authorizeTimeoutMs, waitingMax: settings.nodeQueueMax, slowMs: settings.slowTurnMs },
      onAsked: (now) => this.#parts.scheduler.heldUntil(now),
      admit: (shard, request) => {
        const slot = this.#slots[shard];
        const type = this.#parts.typeByName.get(request.type);
        // Those that had to wait for a decision were refused when their shard began to leave, but for what was taken since.
        if (slot !== undefined && (slot.phase === 'open' || slot.isLeaving) && type !== undefined) this.#deliver(slot, type, request);
        else this.#refuse(request, type?.name ?? '', this.#notOpen(shard, slot));
        this.#parts.scheduler.onRest?.();
      },
      refuse: (request, error) => {
        this.#refuse(request, request.type, error);
        this.#parts.scheduler.onRest?.();
      },
    });
  }

  /** The hook sees well-formed keys only. */
  #isAuthorized(authorization: Authorization, shard: number, request: InboundRequest): boolean {
    const { keyBytesMax } = this.#o.settings;
    if (isKey(request.key, keyBytesMax)) return authorization.take(shard, request);
    this.#refuse(request, request.type, invalidKey(request.key, keyBytesMax));
    return false;
  }

  #notOpen(shard: number, slot: ShardSlot | undefined): PerkeyError {
    if (this.#isStopping) return nodeStopped();
    return shardMoved(shard, slot?.successor);
  }

  #refuse(request: InboundRequest, type: string, error: PerkeyError): void {
    this.#parts.metrics.refused(type, error.code);
    request.reply.error(request.id, error);
  }

  /** Each actor of the chain waits for the next one: to let the first of them wait for itself would be for ever. */
  #closesCycle(request: InboundRequest): boolean {
    const address = `${request.type}/${request.key}`;
    if (!request.chain.includes(address)) return false;
    const path = [...request.chain, address].map((step) => safeText(step, 128));
    this.#refuse(
      request,
      request.type,
      bareError('call.cycle', `the call would wait for itself: ${path.join(' -> ')}`, { details: { path } }),
    );
    return true;
  }

  #create(slot: ShardSlot, type: ActorType, request: InboundRequest): Activation | undefined {
    const { key } = request;
    const error = this.#noEntry(type, request);
    if (error !== undefined) {
      this.#refuse(request, type.name, error);
      return undefined;
    }
    return this.#add(slot, type, key);
  }

  /** Nothing becomes resident for a request that cannot run. */
  #noEntry(type: ActorType, request: InboundRequest): PerkeyError | undefined {
    const { keyBytesMax, actorsResidentMax } = this.#o.settings;
    if (!isKey(request.key, keyBytesMax)) return invalidKey(request.key, keyBytesMax);
    if (!type.methods.has(request.method) && type.fallback === undefined) return unknownMethod(type.name, request.method);
    if (this.#resident < actorsResidentMax || this.#parts.janitor.makeRoom()) return undefined;
    return bareError('actor.limit', `the node holds actorsResidentMax = ${actorsResidentMax} actors`, { details: { actorsResidentMax } });
  }

  #add(slot: ShardSlot, type: ActorType, key: string): Activation {
    const activation = new Activation(type, key, slot);
    slot.add(activation);
    this.#resident += 1;
    type.resident += 1;
    if (type.order.passivateAfterMs !== undefined) {
      type.order.touch(activation, this.#o.clock.now());
      this.#parts.janitor.arm();
    }
    return activation;
  }

  /** F19: an actor whose activation failed often is not tried again before its pause is over. */
  #mustWait(activation: Activation, request: InboundRequest): boolean {
    const { activationFailures } = this.#parts;
    if (activationFailures.size === 0) return false;
    const error = activationFailures.refusal(activation.address);
    if (error === undefined) return false;
    this.#refuse(request, activation.type.name, error);
    if (activation.queue === undefined) this.#parts.lifecycle.discard(activation);
    return true;
  }

  #carryIn(slot: ShardSlot, actor: CarriedActor): void {
    const type = this.#parts.typeByName.get(actor.type);
    if (type === undefined) {
      this.#o.log.error(
        { type: safeText(actor.type), key: safeText(actor.key) },
        'an actor was carried to a node that does not host its type; its state is lost',
      );
      return;
    }
    if (slot.find(type, actor.key) !== undefined) return;
    const activation = this.#add(slot, type, actor.key);
    activation.state = actor.state;
    activation.hasState = type.durability === undefined;
    if (actor.window !== undefined) type.replies.carryIn(activation, actor.window, this.#o.clock.now());
    if (actor.timers !== undefined) this.#parts.timers.carryIn(activation, actor.timers);
    if (type.definition.onActivate === undefined && activation.hasState) activation.status = 'idle';
    else if (activation.extras?.timers !== undefined) this.#parts.scheduler.enter(() => this.#parts.lifecycle.activate(activation));
  }

  /** Requests that waited for an actor while it left are taken up by a new one, or refused with its shard. */
  #removed(activation: Activation): void {
    this.#resident -= 1;
    const { slot, type, key } = activation;
    if (activation.queue === undefined) return;
    if (slot.phase !== 'open') this.#parts.scheduler.clear(activation, this.#notOpen(slot.shard, slot));
    else this.#parts.scheduler.moveWaiting(activation, this.#add(slot, type, key));
  }

  #drop(slot: ShardSlot, reason: 'lost' | 'stopped', waiting: PerkeyError): Promise<void> {
    this.#slots[slot.shard] = undefined;
    this.#authorization?.refuseShard(slot.shard, waiting);
    const dropped = this.#parts.closer.drop(slot, reason, waiting);
    this.#parts.scheduler.onRest?.();
    return dropped;
  }

  async #stop(drainMs: number): Promise<void> {
    const { janitor, watch } = this.#parts;
    janitor.stop();
    this.#authorization?.stop(nodeStopped());
    const slots = this.#slots.filter((slot) => slot !== undefined);
    const hooks = slots.map((slot) => this.#drop(slot, 'stopped', nodeStopped()));
    await new Promise<void>((resolve) => {
      const timer = this.#o.clock.setTimer(drainMs, resolve);
      void Promise.all(hooks).then(() => {
        timer.cancel();
        resolve();
      });
    });
    watch.stop();
  }
}

function nodeStopped(): PerkeyError {
  return bareError('node.stopped', 'the node was stopped');
}
