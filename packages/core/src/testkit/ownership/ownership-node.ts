import { silentLogger } from '../../base/log.ts';
import { noMetrics } from '../../base/metrics.ts';
import type { RecordStore, Watch } from '../../contract/record-store.ts';
import { clusterMetrics } from '../../cluster/cluster-metrics.ts';
import { Evictor, orphansOf } from '../../cluster/evictor.ts';
import { TransferReceiver } from '../../cluster/handoff.ts';
import { join } from '../../cluster/join.ts';
import type { Lease } from '../../cluster/lease.ts';
import { Members } from '../../cluster/members.ts';
import { type MemberRecord, outlivedOf, parseMember } from '../../cluster/records.ts';
import { ShardHomes } from '../../cluster/shard-homes.ts';
import { ShardManager } from '../../cluster/shard-manager.ts';
import { ShardTable } from '../../cluster/shard-table.ts';
import type { VirtualClock } from '../virtual-clock.ts';
import { type Cable, ChaosStore, type TableHistory, type Weather } from './chaos-store.ts';
import { ChaosTransfers, type TransferNet } from './chaos-transfers.ts';
import { CountingHost } from './counting-host.ts';
import type { Judged, OwnershipChecks } from './ownership-checks.ts';

export interface OwnershipSurroundings {
  readonly weather: Weather;
  readonly members: TableHistory;
  readonly shards: TableHistory;
  readonly net: TransferNet;
  readonly checks: OwnershipChecks;
  readonly shardCount: number;
}

const leaseMs = 2_000;
const marginMs = 500;
const heartbeatMs = 500;
const drainMs = 2_000;

/** One process from its start to its end: it joins, and joins again when its incarnation was evicted. */
export class OwnershipNode {
  readonly nodeId: string;
  readonly cable: Cable;
  readonly #around: OwnershipSurroundings;
  readonly #stopping = new AbortController();
  #session: OwnershipSession | undefined;
  #isDead = false;

  constructor(nodeId: string, clock: VirtualClock, around: OwnershipSurroundings) {
    this.nodeId = nodeId;
    this.#around = around;
    this.cable = { clock, isMute: false, isDeaf: false };
    void this.#live();
  }

  /** It has ended, by a kill or after a drain. */
  get isDead(): boolean {
    return this.#isDead;
  }

  get isLeaving(): boolean {
    return this.#stopping.signal.aborted;
  }

  get session(): OwnershipSession | undefined {
    return this.#session;
  }

  kill(): void {
    this.#isDead = true;
    if (this.#session) this.#around.checks.ended(this.#session);
    this.#around.net.hangUp(this.#session?.incarnation ?? '');
    this.cable.clock.kill();
  }

  async drain(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort();
    await this.#session?.drain();
    this.#isDead = true;
  }

  async #live(): Promise<void> {
    const { clock } = this.cable;
    while (!this.#stopping.signal.aborted) {
      try {
        await new Promise<void>((resolve, reject) => {
          this.#session = new OwnershipSession(this.nodeId, this.cable, this.#around, resolve);
          this.#session.open(this.#stopping.signal).catch(reject);
        });
      } catch {
        // Joining was stopped.
      }
      await new Promise<void>((resolve) => clock.setTimer(50, resolve));
    }
    if (!this.#session?.isOpen) this.#isDead = true;
  }
}

/** The parts of one incarnation that own shards, put together as a node does it. */
export class OwnershipSession implements Judged {
  readonly nodeId: string;
  readonly #cable: Cable;
  readonly #around: OwnershipSurroundings;
  readonly #onLost: () => void;
  readonly #memberStore: RecordStore;
  readonly #shardStore: RecordStore;
  readonly #watches: Watch[] = [];
  readonly #receiver = new TransferReceiver();
  readonly host: CountingHost;
  #members!: Members;
  #table!: ShardTable;
  #lease: Lease<MemberRecord> | undefined;
  #manager: ShardManager | undefined;
  #evictor: Evictor | undefined;
  #hasEnded = false;

  constructor(nodeId: string, cable: Cable, around: OwnershipSurroundings, onLost: () => void) {
    this.nodeId = nodeId;
    this.#cable = cable;
    this.#around = around;
    this.#onLost = onLost;
    const { weather, members, shards, checks } = around;
    this.#memberStore = new ChaosStore(weather, cable, members, {
      by: nodeId,
      onApplied: (record, by) => checks.memberWritten(record, by),
      onSent: (key, value) => this.#checkEviction(key, value),
    });
    this.#shardStore = new ChaosStore(weather, cable, shards, { by: nodeId, onApplied: (record) => checks.shardWritten(record) });
    this.host = new CountingHost(cable.clock, weather.random, (shard, epoch, count) => checks.opened(this, shard, epoch, count));
  }

  get incarnation(): string {
    return this.#lease?.body.incarnation ?? '';
  }

  /** It joined and has not ended. */
  get isOpen(): boolean {
    return this.#manager !== undefined && !this.#hasEnded;
  }

  get owned(): number {
    return this.#manager?.owned ?? 0;
  }

  mayAct(): boolean {
    const { clock } = this.#cable;
    return !clock.frozen && clock.rate > 0 && this.#lease?.mayAct(clock.now()) === true;
  }

  serves(shard: number): boolean {
    const epoch = this.host.epochOf(shard);
    return epoch !== undefined && this.#manager?.epochOf(shard) === epoch && this.mayAct();
  }

  async open(signal: AbortSignal): Promise<void> {
    const { clock } = this.#cable;
    const { weather, checks, net, shardCount } = this.#around;
    const { nodeId } = this;
    const { random } = weather;
    this.#members = new Members(clock, () => this.#membersChanged());
    this.#table = new ShardTable(
      shardCount,
      () => this.#manager?.schedule(),
      () => this.#manager?.schedule(),
    );
    const described = { nodeId, inbox: '', weight: 1, types: {}, state: 'joining', protocol: 1 } as const;
    const onHeld = (): void => this.#manager?.schedule();
    const events = { onHeld, onLapsed: () => {}, onLost: () => this.#lost() };
    this.#lease = await join({
      ...{ store: this.#memberStore, clock, random, log: silentLogger, times: { leaseMs, heartbeatMs }, marginMs },
      ...{ onDuplicateId: 'wait', describe: () => described, events, signal },
    });
    if (this.#hasEnded || signal.aborted) {
      this.#lease.stop();
      return;
    }
    const { incarnation } = this.#lease.body;
    const self = { nodeId, incarnation };
    checks.began(this);
    net.listen(incarnation, this.#cable, this.#receiver);
    this.#assemble(this.#lease, self);
    this.#watches.push(await this.#memberStore.watch(this.#members), await this.#shardStore.watch(this.#table));
    await this.#lease.update({ state: 'active' });
    this.#manager?.membersChanged();
  }

  #assemble(lease: Lease<MemberRecord>, self: { readonly nodeId: string; readonly incarnation: string }): void {
    const { clock } = this.#cable;
    const { net, weather } = this.#around;
    const metrics = clusterMetrics(noMetrics);
    const [members, table] = [this.#members, this.#table];
    const homes = new ShardHomes({ self, store: this.#shardStore, table, lease, clock, privateId: undefined, held: [] });
    this.#manager = new ShardManager({
      ...{ self, store: this.#shardStore, table, members, lease, homes, host: this.host, clock, log: silentLogger, metrics },
      transfers: new ChaosTransfers(net, self, this.#cable, this.#receiver),
      newTransferId: () => weather.random.hex(8),
      settings: { drainMs, handoffsMax: 2, claimsMax: 3, rebalanceDelayMs: 100 },
      onOpened: () => {},
    });
    this.#evictor = new Evictor({
      ...{ store: this.#memberStore, members, clock, log: silentLogger, evictions: metrics.evictions, self: self.nodeId },
      ...{ patienceMs: leaseMs + marginMs, checkMs: heartbeatMs / 2 },
      leaseHeldSince: () => lease.heldSince(clock.now()),
      owners: () => table.named(),
      orphans: () => orphansOf(table, members, self),
      onOutlived: (outlived) => void lease.update({ outlived: Math.max(outlived, outlivedOf(lease.body)) }),
    });
  }

  /** As a node leaves: with all its shards if there is time. */
  async drain(): Promise<void> {
    const { clock } = this.#cable;
    if (this.#hasEnded || !this.#lease || !this.#manager) return;
    void this.#lease.update({ state: 'draining' });
    const limit = new Promise<'late'>((resolve) => clock.setTimer(drainMs, () => resolve('late')));
    const drained = await Promise.race([this.#manager.drain(), limit]);
    if (drained === 'late') this.#around.checks.fell(this.incarnation);
    await this.host.stop();
    const goodbye = new Promise<void>((resolve) => clock.setTimer(1_000, resolve));
    await Promise.race([this.#lease.update({ state: 'gone' }), goodbye]);
    this.#end();
  }

  /** I19: who says that another one is gone could itself renew its lease for all the time that it waited. */
  #checkEviction(key: string, value: string): void {
    const record = parseMember(value);
    if (!key.startsWith('member.') || record?.state !== 'gone' || record.nodeId === this.nodeId) return;
    const now = this.#cable.clock.now();
    const heldSince = this.#lease?.heldSince(now) ?? now;
    if (now - heldSince <= leaseMs + marginMs) this.#around.checks.fail(`I19: ${this.nodeId} evicts after ${now - heldSince} ms`);
  }

  #membersChanged(): void {
    if (this.#hasEnded || !this.#manager) return;
    this.#receiver.sweep(
      (who) => this.#members.isGone(who),
      (transfer, shard, epoch) => this.#table.mayName(transfer, shard, epoch),
    );
    this.#manager.membersChanged();
  }

  #lost(): void {
    if (this.#hasEnded) return;
    const stored = this.#around.members.table.read(`member.${this.nodeId}`);
    this.#around.checks.lost(this.incarnation, stored && parseMember(stored.value));
    this.#end();
    this.#onLost();
  }

  #end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#around.checks.ended(this);
    this.#around.net.hangUp(this.incarnation);
    this.#lease?.stop();
    this.#evictor?.stop();
    this.#manager?.stop();
    for (const watch of this.#watches) watch.stop();
    void this.host.stop();
  }
}
