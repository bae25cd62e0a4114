import type { CarriedActor } from '../contract/calls.ts';
import type { Incarnated } from './records.ts';

/** What the shard manager needs of the actors of this node. */
export interface ShardHost {
  openShard(shard: number, epoch: number, carried: readonly CarriedActor[]): void;
  closeShard(
    shard: number,
    options: { readonly drainMs: number; readonly successor: string | undefined },
  ): Promise<readonly CarriedActor[]>;
  dropShard(shard: number): void;
}

/** Moves the state of a shard's actors. */
export interface ShardTransfers {
  /**
   * Resolves when `to` holds the actors, to `false` when there was nothing to hold; rejects when it may not hold them. `epoch`: under which
   * this node owns the shard.
   */
  send(to: Incarnated, shard: number, transfer: string, actors: readonly CarriedActor[], epoch: number): Promise<boolean>;
  /** What arrived under this name, once; `undefined` when it is not (wholly) here. */
  take(transfer: string): readonly CarriedActor[] | undefined;
}
