import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import type { Random } from '../base/random.ts';
import type { Caller, CarriedActor, Guard, InboundRequest } from '../contract/calls.ts';
import type { ActorDefinition } from './definition.ts';
import type { ActorControl, HostInspection } from './inspection.ts';
import type { AnyContract } from './method-spec.ts';
import type { TurnMiddleware } from './middleware.ts';
import type { ActorSettings } from './settings.ts';

export interface ActorHostOptions {
  readonly nodeId: string;
  readonly definitions: readonly ActorDefinition[];
  readonly settings: ActorSettings;
  /** The first is the outermost. */
  readonly middleware?: readonly TurnMiddleware[];
  readonly guard: Guard;
  /** For the calls of actors; asked for on first use. */
  readonly caller: () => Caller;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export interface CloseShardOptions {
  /** How long running turns, background work and `onDeactivate` may take, together. */
  readonly drainMs: number;
  /** The node that refused requests are sent to, if it is known. */
  readonly successor: string | undefined;
}

/** The actors of one node. */
export class ActorHost {
  constructor(options: ActorHostOptions) {
    void options;
  }

  /** The contracts hosted here. */
  get contracts(): readonly AnyContract[] {
    throw new Error('to come');
  }

  /**
   * Takes a request for a shard of this node. Never throws: every outcome goes to `request.reply`, for most synchronous handlers before this returns.
   * Requests for one key run in the order of the calls.
   */
  admit(shard: number, request: InboundRequest): void {
    void [shard, request];
  }

  /** Takes requests for the shard from now on. Carried actors are resident at once, whatever the limits. */
  openShard(shard: number, epoch: number, carried: readonly CarriedActor[]): void {
    void [shard, epoch, carried];
  }

  /**
   * Stops admission at once, refuses what waits with `shard.moved`, lets running turns and background work end within `drainMs`, abandons the rest,
   * and resolves with the actors as plain data. Never rejects. `openShard` may give the shard back.
   */
  closeShard(shard: number, options: CloseShardOptions): Promise<readonly CarriedActor[]> {
    return Promise.reject(new Error(`to come: ${shard} ${options.drainMs}`));
  }

  /** The shard was lost: nothing of it is answered or kept. A `closeShard` under way resolves with no actors. */
  dropShard(shard: number): void {
    void shard;
  }

  /** The guard lets this node act again: sends withheld replies and goes on with what waits. */
  resume(): void {}

  /** Resolves when nothing runs and nothing waits; at once if that is so. */
  drainTurns(): Promise<void> {
    return Promise.reject(new Error('to come'));
  }

  /** Refuses what waits and all that comes with `node.stopped`, abandons running turns and runs `onDeactivate`. Idempotent. */
  stop(): Promise<void> {
    return Promise.reject(new Error('to come'));
  }

  /** Counts, and the `top` deepest mailboxes. Takes time by what is queued, not by what is resident. */
  inspect(top?: number): HostInspection {
    throw new Error(`to come: ${top}`);
  }

  /** A hold on one resident actor, for tests; undefined when it is not resident. */
  control(type: string, key: string): ActorControl | undefined {
    throw new Error(`to come: ${type} ${key}`);
  }
}
