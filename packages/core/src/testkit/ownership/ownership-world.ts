import { type Random, seededRandom } from '../../base/random.ts';
import { placeShards } from '../../cluster/placement.ts';
import { parseMember, parseShard, shardKey } from '../../cluster/records.ts';
import { RecordTable } from '../../memory/record-table.ts';
import { VirtualClock } from '../virtual-clock.ts';
import { TableHistory, type Weather } from './chaos-store.ts';
import { TransferNet } from './chaos-transfers.ts';
import { OwnershipChecks } from './ownership-checks.ts';
import { OwnershipNode, type OwnershipSurroundings } from './ownership-node.ts';

export interface OwnershipWorldOptions {
  readonly seed: number;
  readonly nodes?: number;
  readonly shards?: number;
  /** How long faults go on. */
  readonly stormMs?: number;
  /** How likely a call of a store ends as none should. Default 0.08. */
  readonly faults?: number;
  /** Told of each fault, for looking at one seed. */
  readonly trace?: (line: string) => void;
}

const tickMs = 90;

/** A few nodes that own the shards of one cluster between them, and everything that may happen to them, from a seed. */
export class OwnershipWorld {
  readonly checks: OwnershipChecks;
  readonly wires: VirtualClock = new VirtualClock();
  readonly #random: Random;
  readonly #weather: Weather;
  readonly #around: OwnershipSurroundings;
  readonly #nodes = new Map<string, OwnershipNode>();
  /** Second processes under the id of another one (F22). */
  readonly #twins: OwnershipNode[] = [];
  readonly #stormMs: number;
  readonly #trace: (line: string) => void;
  #isStormy = true;

  constructor(options: OwnershipWorldOptions) {
    const { seed, nodes = 3, shards = 5, stormMs = 6_000, faults = 0.08, trace = () => {} } = options;
    const random = seededRandom(seed);
    this.#random = random;
    this.#stormMs = stormMs;
    this.#trace = trace;
    this.checks = new OwnershipChecks(shards);
    this.#weather = { wires: this.wires, random, downUntil: 0, faults };
    this.#around = {
      ...{ weather: this.#weather, checks: this.checks, shardCount: shards, net: new TransferNet(this.#weather) },
      members: new TableHistory(new RecordTable()),
      shards: new TableHistory(new RecordTable()),
    };
    for (let i = 1; i <= nodes; i += 1) this.#start(`n${i}`);
  }

  /** Faults, then none, and within bounded time every shard is where placement wants it (I14). */
  async run(): Promise<void> {
    this.#tick();
    this.#nextFault();
    await this.wires.advance(this.#stormMs);
    this.#heal();
    // Writes that were on their way may take effect for 3 s, a dead holder of a node id is waited for, and a drain may run.
    for (let waitedMs = 0; !this.isSettled(); waitedMs += 250) {
      if (waitedMs > 15_000) throw new Error(`I14: ${this.#describe()}`);
      await this.wires.advance(250);
    }
    const { lastRevision } = this.#around.shards.table;
    await this.wires.advance(1_000);
    if (this.#around.shards.table.lastRevision !== lastRevision)
      throw new Error(`shards still move after all is settled: ${this.#describe()}`);
    for (const node of this.#nodes.values()) node.kill();
  }

  /** Every shard is served by the node that placement wants. */
  isSettled(): boolean {
    const placed: { id: string; weight: number }[] = [];
    for (const node of this.#nodes.values()) {
      const stored = this.#around.members.table.read(`member.${node.nodeId}`);
      const record = stored && parseMember(stored.value);
      if (node.isDead || node.isLeaving || !node.session?.isOpen || record?.state !== 'active') return false;
      placed.push({ id: node.nodeId, weight: 1 });
    }
    const wish = placeShards(placed, this.#around.shardCount);
    return wish.every((owner, shard) => this.checks.single(shard)?.nodeId === owner);
  }

  #describe(): string {
    const lines = [...this.#nodes.values()].map(({ nodeId, isDead, session }) => {
      const stored = this.#around.members.table.read(`member.${nodeId}`)?.value;
      return `${nodeId} ${isDead ? 'dead' : 'alive'} ${session?.incarnation} owns ${session?.owned}, record ${stored}`;
    });
    for (let shard = 0; shard < this.#around.shardCount; shard += 1) {
      const record = parseShard(this.#around.shards.table.read(shardKey(shard))?.value ?? '');
      lines.push(`${shard} served by ${this.checks.single(shard)?.nodeId}, record ${JSON.stringify(record)}`);
    }
    return lines.join('\n');
  }

  #start(nodeId: string): void {
    this.#nodes.set(nodeId, this.#process(nodeId));
  }

  #process(nodeId: string): OwnershipNode {
    const rate = 0.998 + this.#random.next() * 0.004;
    const clock = this.wires.fork({ rate, wallMs: this.wires.wall() + (this.#random.next() - 0.5) * 2_000 });
    return new OwnershipNode(nodeId, clock, this.#around);
  }

  /** Requests for every shard, wherever they are served. */
  #tick(): void {
    if (this.checks.failure) throw this.checks.failure;
    for (let shard = 0; shard < this.#around.shardCount; shard += 1) {
      const session = this.checks.single(shard) as { host: { count(shard: number): number } } | undefined;
      if (session && this.#random.next() < 0.2) this.checks.counted(shard, session.host.count(shard));
    }
    this.wires.setTimer(tickMs, () => this.#tick());
  }

  #nextFault(): void {
    if (!this.#isStormy) return;
    const nodes = [...this.#nodes.values()];
    const node = nodes[Math.floor(this.#random.next() * nodes.length)];
    if (node) this.#fault(node, Math.floor(this.#random.next() * 11));
    this.wires.setTimer(this.#random.next() * 1_200, () => this.#nextFault());
  }

  #fault(node: OwnershipNode, kind: number): void {
    const { random } = this.#weather;
    const { nodeId, cable } = node;
    const forMs = random.next() < 0.5 ? random.next() * 1_000 : random.next() * 5_000;
    const note = (what: string): void => this.#trace(`${this.wires.trueMs.toFixed(0)} ${nodeId} ${what} ${forMs.toFixed(0)}`);
    const then = (run: () => void): void => void this.wires.setTimer(forMs, run);
    if (node.isDead) {
      note('starts');
      this.#start(nodeId);
      return;
    }
    switch (kind) {
      case 0:
        note('is killed');
        node.kill();
        return;
      case 1:
      case 2:
      case 3:
        note('drains');
        void node.drain();
        return;
      case 4:
        note('is frozen');
        cable.clock.freeze();
        then(() => cable.clock.thaw());
        return;
      case 5:
        note('is suspended');
        cable.clock.freeze();
        cable.clock.rate = 0;
        then(() => this.#wakeUp(node));
        return;
      case 6:
        note('loses the way out');
        cable.isMute = true;
        then(() => (cable.isMute = false));
        return;
      case 7:
        note('loses the way in');
        cable.isDeaf = true;
        then(() => (cable.isDeaf = false));
        return;
      case 8:
        note('has its wall clock set');
        cable.clock.jumpWall((random.next() - 0.5) * 7_200_000);
        return;
      case 9: {
        note('gets a twin');
        const twin = this.#process(nodeId);
        this.#twins.push(twin);
        then(() => twin.kill());
        return;
      }
      default:
        note('sees the store go down');
        this.#weather.downUntil = this.wires.now() + forMs;
    }
  }

  #wakeUp({ cable }: OwnershipNode): void {
    cable.clock.rate = 1;
    cable.clock.thaw();
  }

  #heal(): void {
    this.#isStormy = false;
    this.#weather.faults = 0;
    this.#weather.downUntil = 0;
    this.#trace(`${this.wires.trueMs.toFixed(0)} all faults end`);
    for (const twin of this.#twins) twin.kill();
    for (const node of this.#nodes.values()) {
      this.#wakeUp(node);
      node.cable.isMute = false;
      node.cable.isDeaf = false;
      if (node.isDead) this.#start(node.nodeId);
    }
    this.#restartStopped();
  }

  /** What was still on its way out comes back. */
  #restartStopped(): void {
    for (const node of this.#nodes.values()) if (node.isDead) this.#start(node.nodeId);
    this.wires.setTimer(100, () => this.#restartStopped());
  }
}
