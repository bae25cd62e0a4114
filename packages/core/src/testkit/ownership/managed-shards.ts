import { type Logger, silentLogger } from '../../base/log.ts';
import { noMetrics } from '../../base/metrics.ts';
import { clusterMetrics } from '../../cluster/cluster-metrics.ts';
import { Members } from '../../cluster/members.ts';
import { type Incarnated, type MemberState, parseShard, type ShardRecord, shardKey } from '../../cluster/records.ts';
import type { ShardHost, ShardTransfers } from '../../cluster/shard-host.ts';
import { ShardHomes } from '../../cluster/shard-homes.ts';
import { ShardManager } from '../../cluster/shard-manager.ts';
import { ShardTable } from '../../cluster/shard-table.ts';
import type { CarriedActor } from '../../contract/calls.ts';
import { ScriptedRecordStore } from '../scripted-record-store.ts';
import { VirtualClock } from '../virtual-clock.ts';

type Carried = readonly CarriedActor[];

export interface ManagedShardsOptions {
  readonly shards?: number;
  readonly rebalanceDelayMs?: number;
  readonly claimsMax?: number;
  /** The private store of the node, and the shards that it holds. */
  readonly privateId?: string;
  readonly held?: readonly number[];
  readonly log?: Logger;
}

export const nodeA: Incarnated = { nodeId: 'a', incarnation: '1-a' };

/** A host and transfers that do as they are told, and note what they were asked. */
export class ToldHost implements ShardHost, ShardTransfers {
  /** What the lease says. */
  holds = true;
  readonly open: Map<number, Carried> = new Map();
  readonly opened: { readonly shard: number; readonly epoch: number; readonly carried: Carried }[] = [];
  readonly closed: { readonly shard: number; readonly drainMs: number; readonly successor: string | undefined }[] = [];
  readonly dropped: number[] = [];
  readonly sent: { readonly to: Incarnated; readonly transfer: string; readonly actors: Carried }[] = [];
  onOpen: (shard: number) => void = () => {};
  onClose: (carried: Carried) => Promise<Carried> = (carried) => Promise.resolve(carried);
  onSend: () => Promise<boolean> = () => Promise.resolve(true);
  onTake: (transfer: string) => Carried | undefined = () => undefined;

  openShard(shard: number, epoch: number, carried: Carried): void {
    this.opened.push({ shard, epoch, carried });
    this.open.set(shard, carried);
    this.onOpen(shard);
  }

  closeShard(shard: number, { drainMs, successor }: { drainMs: number; successor: string | undefined }): Promise<Carried> {
    this.closed.push({ shard, drainMs, successor });
    const carried = this.open.get(shard) ?? [];
    this.open.delete(shard);
    return this.onClose(carried);
  }

  dropShard(shard: number): void {
    this.dropped.push(shard);
    this.open.delete(shard);
  }

  send(to: Incarnated, _shard: number, transfer: string, actors: Carried): Promise<boolean> {
    this.sent.push({ to, transfer, actors });
    return actors.length === 0 ? Promise.resolve(false) : this.onSend();
  }

  take(transfer: string): Carried | undefined {
    return this.onTake(transfer);
  }
}

/** The shard manager of node `a`, alone with a store, and with everything else as the test says. */
export class ManagedShards {
  readonly clock: VirtualClock = new VirtualClock();
  readonly store: ScriptedRecordStore = new ScriptedRecordStore(this.clock);
  readonly fake: ToldHost = new ToldHost();
  readonly members: Members = new Members(this.clock, () => this.manager.membersChanged());
  readonly table: ShardTable;
  readonly homes: ShardHomes;
  readonly manager: ShardManager;
  #memberRevision = 0;

  constructor(options: ManagedShardsOptions = {}) {
    const { shards = 1, rebalanceDelayMs = 100, claimsMax = 64, log = silentLogger, privateId, held = [] } = options;
    const { clock, store, fake, members } = this;
    const schedule = (): void => this.manager.schedule();
    this.table = new ShardTable(shards, schedule, schedule);
    const lease = { mayAct: () => fake.holds };
    this.homes = new ShardHomes({ self: nodeA, store, table: this.table, lease, clock, privateId, held });
    this.manager = new ShardManager({
      ...{ self: nodeA, store, table: this.table, members, clock, log, metrics: clusterMetrics(noMetrics) },
      ...{ lease, host: fake, transfers: fake, homes: this.homes },
      newTransferId: () => `transfer-${fake.sent.length}`,
      settings: { drainMs: 10_000, handoffsMax: 16, claimsMax, rebalanceDelayMs },
      onOpened: () => {},
    });
  }

  /** A member's record changed, and this node hears of it. */
  member(who: Incarnated, state: MemberState = 'active', store?: string): void {
    this.#memberRevision += 1;
    const record = { ...who, n: this.#memberRevision, inbox: '', weight: 1, types: {}, state, protocol: 1, store };
    this.members.onRecord({ key: `member.${who.nodeId}`, value: JSON.stringify(record), revision: this.#memberRevision });
  }

  /** Somebody writes a shard's record; this node hears of it, unless told otherwise. */
  write(record: Partial<ShardRecord> & Incarnated, isHeard = true): void {
    const whole = { shard: 0, epoch: 5, state: 'owned' as const, ...record };
    const key = shardKey(whole.shard);
    this.store.table.write(key, JSON.stringify(whole), this.store.table.read(key)?.revision ?? 0);
    if (isHeard) this.hear(whole.shard);
  }

  hear(shard: number): void {
    const stored = this.store.table.read(shardKey(shard));
    if (stored) this.table.onRecord(stored);
  }

  stored(shard = 0): ShardRecord | undefined {
    return parseShard(this.store.table.read(shardKey(shard))?.value ?? '');
  }

  /** These are members, and everything is known. */
  begin(...who: readonly Incarnated[]): Promise<void> {
    for (const one of who) this.member(one);
    this.members.onSynced();
    this.table.onSynced();
    return this.clock.advance(0);
  }

  /** Shard 0 is served here, with this state in it. */
  async owning(state: CarriedActor): Promise<void> {
    await this.begin(nodeA);
    this.fake.open.set(0, [state]);
  }

  /** From now on placement wants every shard there. */
  async moveTo(who: Incarnated): Promise<void> {
    this.member(nodeA, 'draining');
    this.member(who);
    await this.clock.advance(150);
  }
}
