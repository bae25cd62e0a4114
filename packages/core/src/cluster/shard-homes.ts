import type { Clock } from '../base/clock.ts';
import { PerkeyError } from '../base/errors.ts';
import type { Guard } from '../contract/calls.ts';
import type { RecordStore } from '../contract/record-store.ts';
import { type Incarnated, sameIncarnation, type ShardRecord, shardKey } from './records.ts';
import { settledWrite } from './settled-write.ts';
import type { ShardTable } from './shard-table.ts';

export interface ShardHomesOptions {
  /** The private store of this node; undefined where it has none. */
  readonly privateId: string | undefined;
  /** Shards of which the private store holds records. */
  readonly held: Iterable<number>;
  readonly self: Incarnated;
  readonly store: RecordStore;
  readonly table: ShardTable;
  readonly lease: Guard;
  readonly clock: Clock;
  /** Resolves when no other node has this node's store; throws `store.mismatch`. Undefined: it is known. */
  readonly alone?: ((wanted: () => boolean) => Promise<void>) | undefined;
}

/**
 * Keeps the histories of a shard in one private store. A shard gets a home, the store's id in its record, before its first history is written
 * there; the home never changes and comes along with every later record, and only a node that has that store may own the shard. Until then the
 * shard moves like any other.
 *
 * Invariant: a private store holds records of a shard only if the shard's record names it. Broken by a node that writes first and pins later, by a
 * home that is left out of a later record, or by a node that joins with histories of a shard whose home is another store.
 */
export class ShardHomes {
  readonly #o: ShardHomesOptions;
  readonly #held: Set<number>;
  readonly #pinning = new Map<number, Promise<boolean>>();

  constructor(options: ShardHomesOptions) {
    this.#o = options;
    this.#held = new Set(options.held);
  }

  /** What a record that this node writes for the shard must say. */
  of(shard: number, record: ShardRecord | undefined): string | undefined {
    return record?.home ?? (this.#held.has(shard) ? this.#o.privateId : undefined);
  }

  /** This node may own the shard, as far as its home is concerned. */
  mayOwn(shard: number, record: ShardRecord | undefined): boolean {
    const home = this.of(shard, record);
    return home === undefined || home === this.#o.privateId;
  }

  /** Its record is being written with its home, so that no other change of it can go through. */
  isPinning(shard: number): boolean {
    return this.#pinning.has(shard);
  }

  /**
   * To be asked before a record of the shard is written to this node's store. `true` at once where nothing has to be done. `false`: nothing may be
   * written, since this node no longer owns the shard, or has another one under way to own it.
   */
  ensure(shard: number, epoch: number, isOpen: () => boolean): true | Promise<boolean> {
    const { privateId, table } = this.#o;
    if (privateId === undefined) return true;
    const record = table.get(shard)?.record;
    if (record !== undefined && record.epoch === epoch && record.home === privateId) return true;
    const known = this.#pinning.get(shard);
    if (known !== undefined) return known;
    const pinning = this.#pin(shard, epoch, isOpen).finally(() => this.#pinning.delete(shard));
    this.#pinning.set(shard, pinning);
    return pinning;
  }

  #pin(shard: number, epoch: number, isOpen: () => boolean): Promise<boolean> {
    const { self, table, lease, clock } = this.#o;
    const entry = table.get(shard);
    const isOwn = entry !== undefined && entry.record.epoch === epoch && sameIncarnation(entry.record, self);
    const mayPin = isOwn && entry.record.state === 'owned' && this.mayOwn(shard, entry.record) && isOpen();
    if (!mayPin) return Promise.resolve(false);
    return this.#write(entry.record, entry.revision, () => isOpen() && lease.mayAct(clock.now()));
  }

  async #write(record: ShardRecord, revision: number, wanted: () => boolean): Promise<boolean> {
    const { store, clock, table, privateId } = this.#o;
    const { shard } = record;
    const value = JSON.stringify({ ...record, home: privateId });
    const outcome = await settledWrite({ store, clock, key: shardKey(shard), value, revision, wanted });
    if (outcome.kind !== 'applied') {
      if (outcome.kind === 'refused' && outcome.latest) table.learn(outcome.latest);
      return false;
    }
    this.#held.add(shard);
    table.learn(outcome.stored);
    return true;
  }

  /**
   * Before this node becomes active: every shard of which its store holds records has this store as its home. Throws `store.mismatch` for one whose
   * home is another store, and where another node has this very store, and `store.unavailable` where the record could not be written while `wanted`.
   */
  async claimHeld(wanted: () => boolean): Promise<void> {
    await this.#o.alone?.(wanted);
    for (const shard of this.#held) {
      while (!(await this.#claimOne(shard, wanted))) {
        if (!wanted()) throw new PerkeyError('store.unavailable', `the home of shard ${shard} could not be written`);
      }
    }
  }

  async #claimOne(shard: number, wanted: () => boolean): Promise<boolean> {
    const { table, privateId, self, clock } = this.#o;
    const entry = table.get(shard);
    const home = entry?.record.home;
    if (home === privateId) return true;
    if (home !== undefined) {
      const text = `the store ${privateId} of this node holds histories of shard ${shard}, whose home is the store ${home}; start the node with that store, or with an empty one`;
      throw new PerkeyError('store.mismatch', text, { details: { shard, store: privateId, home } });
    }
    const record = entry?.record ?? { ...self, shard, epoch: Math.floor(clock.wall()), state: 'free' as const };
    return this.#write(record, entry?.revision ?? 0, wanted);
  }
}
