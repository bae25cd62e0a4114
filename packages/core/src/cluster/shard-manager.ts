import type { Clock, Timer } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { CarriedActor, Guard } from '../contract/calls.ts';
import type { RecordStore } from '../contract/record-store.ts';
import type { ClusterMetrics } from './cluster-metrics.ts';
import type { Members } from './members.ts';
import { type Incarnated, sameIncarnation, type ShardRecord, shardKey } from './records.ts';
import { settledWrite } from './settled-write.ts';
import type { ShardTable } from './shard-table.ts';
import { wish } from './view.ts';

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
  /** Resolves when `to` holds the actors, to `false` when there was nothing to hold; rejects when it may not hold them. */
  send(to: Incarnated, shard: number, transfer: string, actors: readonly CarriedActor[]): Promise<boolean>;
  /** What arrived under this name, once; `undefined` when it is not (wholly) here. */
  take(transfer: string): readonly CarriedActor[] | undefined;
}

export interface ShardManagerOptions {
  readonly self: Incarnated;
  readonly store: RecordStore;
  readonly table: ShardTable;
  readonly members: Members;
  readonly lease: Guard;
  readonly host: ShardHost;
  readonly transfers: ShardTransfers;
  readonly newTransferId: () => string;
  readonly settings: {
    readonly drainMs: number;
    readonly handoffsMax: number;
    readonly claimsMax: number;
    readonly rebalanceDelayMs: number;
  };
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: ClusterMetrics;
  /** This node now owns the shard and serves it. */
  readonly onOpened: (record: ShardRecord, before: ShardRecord | undefined) => void;
}

/** This node's part in one shard. `released` keeps the state until somebody else holds the shard. */
type Part =
  | { readonly phase: 'claiming' }
  | { readonly phase: 'open'; readonly epoch: number }
  | { readonly phase: 'closing'; readonly since: number }
  | { readonly phase: 'released'; readonly since: number; readonly epoch: number; readonly carried: readonly CarriedActor[] };

/**
 * Reconciles the shards that placement gives to this node with the shard records. Every node runs one; there is no coordinator.
 *
 * Invariants:
 * - I1: a shard is opened only under a record that names this incarnation and an epoch above every earlier one, put there by an applied compare-and-set.
 * - H11: a record is claimed only when it is free, was released to this node, or its owner's incarnation is gone (a monotone fact).
 * - A shard is released only after its turns ended and the successor acknowledged their state; until the successor's claim is seen the state is kept.
 */
export class ShardManager {
  readonly #o: ShardManagerOptions;
  readonly #parts = new Map<number, Part>();
  #wish: readonly (string | undefined)[] = [];
  #wishView = -1;
  #rebalanceAt = 0;
  #scheduled = false;
  #draining = false;
  #stopped = false;
  #handoffs = 0;
  #claims = 0;
  #timer: Timer | undefined;
  #onEmpty: (() => void) | undefined;

  constructor(options: ShardManagerOptions) {
    this.#o = options;
  }

  /** How many shards this node serves. */
  get owned(): number {
    let count = 0;
    for (const part of this.#parts.values()) if (part.phase === 'open') count += 1;
    return count;
  }

  /** The epoch under which this node serves the shard; `undefined` where it does not. */
  epochOf(shard: number): number | undefined {
    const part = this.#parts.get(shard);
    return part?.phase === 'open' ? part.epoch : undefined;
  }

  /** Members came, went or changed: shards may have to move, after a moment in which more of them may come. */
  membersChanged(): void {
    const { clock, settings } = this.#o;
    this.#rebalanceAt = clock.now() + settings.rebalanceDelayMs;
    this.#timer?.cancel();
    this.#timer = clock.setTimer(settings.rebalanceDelayMs, () => this.schedule());
    this.schedule();
  }

  /** Looks at every shard at the end of this turn of the event loop. */
  schedule(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    this.#o.clock.defer(() => {
      this.#scheduled = false;
      this.#reconcile();
    });
  }

  /** Hands every shard over; resolves when this node has none left, or was stopped. */
  drain(): Promise<void> {
    this.#draining = true;
    this.#wishView = -1;
    return new Promise((resolve) => {
      this.#onEmpty = resolve;
      this.schedule();
    });
  }

  /** Ends everything at once: the incarnation is over. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    for (const shard of this.#parts.keys()) this.#o.host.dropShard(shard);
    this.#parts.clear();
    this.#onEmpty?.();
  }

  #reconcile(): void {
    const { members, table } = this.#o;
    if (this.#stopped || !members.synced || !table.synced) return;
    if (this.#wishView !== members.view) {
      this.#wishView = members.view;
      this.#wish = wish(members, table.shards, this.#draining ? this.#o.self.nodeId : undefined);
    }
    for (let shard = 0; shard < table.shards; shard += 1) this.#step(shard);
    if (this.#parts.size === 0 && this.#draining) this.#onEmpty?.();
  }

  #step(shard: number): void {
    const part = this.#parts.get(shard);
    switch (part?.phase) {
      case undefined:
        this.#maybeClaim(shard);
        return;
      case 'open':
        this.#maybeHandOff(shard, part.epoch);
        return;
      case 'released':
        this.#watchRelease(shard, part);
        return;
      case 'claiming':
      case 'closing':
    }
  }

  #isMine(record: ShardRecord): boolean {
    return sameIncarnation(record, this.#o.self);
  }

  #maybeClaim(shard: number): void {
    const { table, clock, lease, settings } = this.#o;
    const entry = table.get(shard);
    if (!this.#mayClaim(shard, entry?.record)) return;
    if (entry && entry.record.state === 'owned' && this.#isMine(entry.record)) {
      this.#open(entry.record, undefined, this.#inherited(entry.record, []));
      return;
    }
    if (this.#claims >= settings.claimsMax || !lease.mayAct(clock.now())) return;
    this.#claims += 1;
    this.#parts.set(shard, { phase: 'claiming' });
    void this.#claim(shard, entry?.record, entry?.revision ?? 0, []).then((opened) => {
      this.#claims -= 1;
      if (!opened) this.#parts.delete(shard);
      this.schedule();
    });
  }

  /** H11. The successor claims whatever placement says by now: it holds the state, and hands it on if it must. */
  #mayClaim(shard: number, record: ShardRecord | undefined): boolean {
    const { members, self } = this.#o;
    const wished = this.#wish[shard] === self.nodeId;
    if (!record || record.state === 'free') return wished;
    if (this.#isMine(record)) return record.state === 'owned';
    if (record.state === 'releasing' && record.successor && sameIncarnation(record.successor, self)) return true;
    if (record.state === 'releasing' && record.successor && !members.isGone(record.successor)) return false;
    return wished && members.isGone(record);
  }

  /** `false` when the claim was refused or its outcome is not known; one that is applied late is adopted when its record is seen. */
  async #claim(shard: number, before: ShardRecord | undefined, revision: number, kept: readonly CarriedActor[]): Promise<boolean> {
    const { store, clock, lease, self, table } = this.#o;
    const epoch = Math.max((before?.epoch ?? 0) + 1, Math.floor(clock.wall()));
    const handedOver = before?.state === 'releasing' && before.transfer !== undefined && !this.#isMine(before);
    const record: ShardRecord = { ...self, shard, epoch, state: 'owned', ...(handedOver && { transfer: before.transfer }) };
    const wanted = (): boolean => !this.#stopped && lease.mayAct(clock.now());
    const outcome = await settledWrite({ store, clock, key: shardKey(shard), value: JSON.stringify(record), revision, wanted });
    if (this.#stopped) return false;
    if (outcome.kind === 'refused' && outcome.latest) table.onRecord(outcome.latest);
    if (outcome.kind !== 'applied') return false;
    this.#open(record, before, this.#inherited(record, kept));
    table.onRecord(outcome.stored);
    return true;
  }

  /** The state that comes with the shard: kept by this node when its successor vanished, or received from the node that released it. */
  #inherited(record: ShardRecord, kept: readonly CarriedActor[]): readonly CarriedActor[] {
    const { transfers, log } = this.#o;
    if (!record.transfer) return kept;
    const carried = transfers.take(record.transfer);
    if (!carried) log.error({ shard: record.shard }, 'the state of a released shard did not arrive; its volatile actors start anew');
    return carried ?? kept;
  }

  #open(record: ShardRecord, before: ShardRecord | undefined, carried: readonly CarriedActor[]): void {
    const { host, metrics, onOpened } = this.#o;
    this.#parts.set(record.shard, { phase: 'open', epoch: record.epoch });
    host.openShard(record.shard, record.epoch, carried);
    metrics.epochChanges.inc();
    onOpened(record, before);
    this.schedule();
  }

  #maybeHandOff(shard: number, epoch: number): void {
    const { table, host, metrics, members, clock, settings } = this.#o;
    const entry = table.get(shard);
    if (!entry || entry.record.epoch < epoch) return;
    if (entry.record.epoch > epoch || !this.#isMine(entry.record)) {
      metrics.fenceRejections.inc();
      this.#parts.delete(shard);
      host.dropShard(shard);
      return;
    }
    const wanted = this.#wish[shard];
    if (wanted === this.#o.self.nodeId || (wanted === undefined && !this.#draining)) return;
    if (!this.#draining && clock.now() < this.#rebalanceAt) return;
    const successor = wanted === undefined ? undefined : members.get(wanted)?.record;
    if (this.#handoffs >= settings.handoffsMax) return;
    this.#handoffs += 1;
    this.#parts.set(shard, { phase: 'closing', since: clock.now() });
    void this.#handOff(shard, entry.record, entry.revision, successor).finally(() => {
      this.#handoffs -= 1;
      this.schedule();
    });
  }

  async #handOff(shard: number, record: ShardRecord, revision: number, successor: Incarnated | undefined): Promise<void> {
    const { host, transfers, settings, clock, log } = this.#o;
    const since = clock.now();
    const carried = await host.closeShard(shard, { drainMs: settings.drainMs, successor: successor?.nodeId });
    if (this.#stopped) return;
    const transfer = this.#o.newTransferId();
    let sent = false;
    try {
      if (successor) sent = await transfers.send(successor, shard, transfer, carried);
    } catch (error) {
      log.warn({ shard, successor: successor?.nodeId, err: error }, 'handoff failed; this node keeps the shard and tries again');
      if (!this.#stopped) this.#reopen(shard, record.epoch, carried);
      return;
    }
    await this.#release(record, revision, successor, sent ? transfer : undefined, carried, since);
  }

  #reopen(shard: number, epoch: number, carried: readonly CarriedActor[]): void {
    const { clock, settings, host } = this.#o;
    this.#parts.set(shard, { phase: 'open', epoch });
    host.openShard(shard, epoch, carried);
    this.#rebalanceAt = clock.now() + settings.rebalanceDelayMs;
    clock.setTimer(settings.rebalanceDelayMs, () => this.schedule());
  }

  async #release(
    record: ShardRecord,
    revision: number,
    successor: Incarnated | undefined,
    transfer: string | undefined,
    carried: readonly CarriedActor[],
    since: number,
  ): Promise<void> {
    const { store, clock, table, self, log } = this.#o;
    const next = successor && { nodeId: successor.nodeId, incarnation: successor.incarnation };
    const base = { ...self, shard: record.shard, epoch: record.epoch, transfer };
    const released: ShardRecord = next ? { ...base, state: 'releasing', successor: next } : { ...base, state: 'free' };
    const wanted = (): boolean => !this.#stopped;
    const value = JSON.stringify(released);
    const outcome = await settledWrite({ store, clock, key: shardKey(record.shard), value, revision, wanted });
    if (this.#stopped) return;
    if (!next && carried.length > 0)
      log.warn({ shard: record.shard, actors: carried.length }, 'no node is left to take over; volatile state ends here');
    if (next && outcome.kind === 'applied') this.#parts.set(record.shard, { phase: 'released', since, epoch: record.epoch, carried });
    else this.#parts.delete(record.shard);
    if (outcome.kind === 'applied') table.onRecord(outcome.stored);
    else if (outcome.kind === 'refused' && outcome.latest) table.onRecord(outcome.latest);
  }

  /** The state is kept until another epoch is seen; a successor that vanished before it claimed gives the shard back. */
  #watchRelease(shard: number, part: Part & { readonly phase: 'released' }): void {
    const { table, members, clock, metrics } = this.#o;
    const entry = table.get(shard);
    if (!entry) return;
    if (entry.record.epoch > part.epoch && this.#isMine(entry.record)) {
      this.#open(entry.record, undefined, part.carried);
      return;
    }
    if (!this.#isMine(entry.record)) {
      metrics.handoffSeconds.observe((clock.now() - part.since) / 1000);
      this.#parts.delete(shard);
      return;
    }
    const { successor } = entry.record;
    if (!successor || !members.isGone(successor)) return;
    this.#parts.set(shard, { phase: 'claiming' });
    void this.#claim(shard, entry.record, entry.revision, part.carried).then((opened) => {
      if (!opened) this.#parts.set(shard, part);
      this.schedule();
    });
  }
}
