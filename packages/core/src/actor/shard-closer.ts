import type { Clock } from '../base/clock.ts';
import { PerkeyError } from '../base/errors.ts';
import { copyPlain } from '../base/plain.ts';
import type { CarriedActor, InboundRequest } from '../contract/calls.ts';
import type { Activation } from './activation.ts';
import type { ActorMetrics } from './actor-metrics.ts';
import type { BackgroundRunner } from './background.ts';
import type { FailureLog } from './failure-log.ts';
import type { DeactivationReason } from './implementation.ts';
import type { Lifecycle } from './lifecycle.ts';
import { shardMoved } from './refusals.ts';
import type { ReplyGate } from './reply-gate.ts';
import type { Scheduler } from './scheduler.ts';
import type { ShardSlot } from './shard-slot.ts';
import type { TimerService } from './timers.ts';
import type { TurnRunner } from './turn-runner.ts';

export interface ShardCloserOptions {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly runner: TurnRunner;
  readonly lifecycle: Lifecycle;
  readonly timers: TimerService;
  readonly background: BackgroundRunner;
  readonly gate: ReplyGate;
  readonly failures: FailureLog;
  readonly metrics: ActorMetrics;
  readonly yieldAfterMs: number;
}

/** How the actors of a shard leave this node: with their state, or without. */
export class ShardCloser {
  readonly #o: ShardCloserOptions;
  /** Those that the closing of their shard waits, or waited, for, by their address. */
  readonly #leaving = new Map<string, Activation>();

  constructor(options: ShardCloserOptions) {
    this.#o = options;
  }

  /** See `RequestHost.isLeaving`. */
  isLeaving(chain: readonly string[], isOneWay: boolean): boolean {
    if (this.#leaving.size === 0) return false;
    return chain.some((address) => {
      const activation = this.#leaving.get(address);
      return activation?.slot.isAwaiting(activation, isOneWay);
    });
  }

  /** A shard that is leaving takes a request that is awaited elsewhere: its turn is waited for as well, and so are those that it asks for. */
  awaitTurn(activation: Activation, request: InboundRequest): void {
    const { address, slot } = activation;
    this.#leaving.set(address, activation);
    slot.expect(activation, request.chain.length === 0);
    this.#o.scheduler.deliver(activation, request);
    if (activation.status === 'gone') this.#leaving.delete(address);
    else if (slot.isLeaving) slot.await(activation);
  }

  /** I17: what waits is refused at once, what runs ends within `drainMs`, and then the state goes with the shard. Empty if the shard is dropped meanwhile. */
  async close(slot: ShardSlot, drainMs: number, successor: string | undefined): Promise<readonly CarriedActor[]> {
    const { clock, scheduler, timers, background, gate } = this.#o;
    const endsAt = clock.now() + drainMs;
    slot.phase = 'closing';
    slot.successor = successor;
    slot.halfTimeAt = endsAt - drainMs / 2;
    const busy = new Set<Activation>();
    for (const activation of slot.activations()) {
      if (activation.queue !== undefined) scheduler.clear(activation, shardMoved(slot.shard, successor));
      timers.hold(activation);
      background.abort(activation);
      if (activation.busy) busy.add(activation);
    }
    for (const activation of busy) this.#leaving.set(activation.address, activation);
    await this.#quiet(slot, busy, endsAt);
    for (const [address, activation] of this.#leaving) if (activation.slot === slot) this.#leaving.delete(address);
    if (this.#isDropped(slot)) return [];
    slot.phase = 'collecting';
    for (const activation of slot.activations())
      if (activation.queue !== undefined) scheduler.clear(activation, shardMoved(slot.shard, successor));
    for (const activation of slot.activations()) this.#o.runner.abandon(activation);
    gate.flush(clock.now());
    gate.drop(slot);
    return this.#collectAll(slot, endsAt);
  }

  /** Runs the hooks and takes the state, in pieces that leave the event loop its turns. */
  async #collectAll(slot: ShardSlot, endsAt: number): Promise<readonly CarriedActor[]> {
    const { clock, lifecycle, runner, yieldAfterMs } = this.#o;
    const carried: CarriedActor[] = [];
    const leave = (activation: Activation): void => {
      if (slot.phase === 'collecting') this.#collect(activation, carried);
      lifecycle.remove(activation, 'moved');
    };
    const busy = new Set<Activation>();
    let pieceEndsAt = clock.now() + yieldAfterMs;
    let count = 0;
    for (const activation of slot.activations()) {
      lifecycle.deactivate(activation, 'moved', () => leave(activation));
      if (activation.busy) busy.add(activation);
      count += 1;
      if (count % 256 !== 0 || clock.now() < pieceEndsAt) continue;
      await new Promise<void>((resolve) => clock.defer(resolve));
      if (this.#isDropped(slot)) return [];
      pieceEndsAt = clock.now() + yieldAfterMs;
    }
    if (busy.size > 0) await this.#quiet(slot, busy, endsAt);
    if (this.#isDropped(slot)) return [];
    for (const activation of slot.activations()) {
      runner.abandon(activation);
      leave(activation);
    }
    return carried;
  }

  /** Everything of the shard ends now: nothing is answered that was executed, nothing is kept. Resolves when the hooks have run. */
  drop(slot: ShardSlot, reason: DeactivationReason, waiting: PerkeyError): Promise<void> {
    const { scheduler, runner, lifecycle, timers, background, gate } = this.#o;
    slot.phase = 'dropped';
    slot.stopWaiting();
    gate.drop(slot);
    const busy = new Set<Activation>();
    for (const activation of slot.activations()) {
      if (activation.queue !== undefined) scheduler.clear(activation, waiting);
      timers.cancelAll(activation);
      background.abort(activation);
      const isLeaving = activation.status === 'deactivating';
      runner.abandon(activation);
      if (isLeaving) lifecycle.remove(activation, reason);
      else lifecycle.deactivate(activation, reason, () => lifecycle.remove(activation, reason));
      if (activation.status === 'deactivating') busy.add(activation);
    }
    return new Promise((resolve) => slot.awaitQuiet(busy, resolve));
  }

  #isDropped(slot: ShardSlot): boolean {
    return slot.phase === 'dropped';
  }

  async #quiet(slot: ShardSlot, busy: Set<Activation>, endsAt: number): Promise<void> {
    const { clock } = this.#o;
    const timer = clock.setTimer(Math.max(0, endsAt - clock.now()), () => slot.stopWaiting());
    await new Promise<void>((resolve) => slot.awaitQuiet(busy, resolve));
    timer.cancel();
  }

  #collect(activation: Activation, carried: CarriedActor[]): void {
    const { type, key } = activation;
    const isStored = type.durability !== undefined;
    if (!activation.hasState && !isStored) return;
    const state = isStored ? { copy: undefined } : this.#stateOf(activation);
    if (state === undefined) return;
    const window = type.replies.carryOut(activation, this.#o.clock.now());
    const timers = this.#o.timers.carryOut(activation);
    if (isStored && window === undefined && timers === undefined) return;
    carried.push({ type: type.name, key, state: state.copy, ...(window && { window }), ...(timers && { timers }) });
  }

  /** A copy, since code that was given up may still hold the state. */
  #stateOf(activation: Activation): { readonly copy: unknown } | undefined {
    try {
      return { copy: copyPlain(activation.state) };
    } catch (thrown) {
      // What is only large is for the cluster to judge.
      if (thrown instanceof PerkeyError && thrown.code === 'payload.too_large') return { copy: activation.state };
      this.#o.metrics.lostOnMove(activation.type.name).inc();
      this.#o.failures.note(activation, 'state', { err: thrown }, 'the state of an actor is not plain data, so it is lost in this move');
      return undefined;
    }
  }
}
