import type { StoredRecord } from '../../contract/record-store.ts';
import type { AppendFault } from '../faults/commit-faults.ts';
import type { StoreFaults, WriteFault } from '../faults/store-faults.ts';
import { describeFault, type Fault } from './fault.ts';
import type { OwnershipOracle } from './ownership-oracle.ts';
import type { SimulatedNode } from './simulated-node.ts';
import type { SimulatedProcess } from './simulated-process.ts';
import { simulatedCluster, type Surroundings } from './surroundings.ts';

export interface FaultyWorld {
  readonly around: Surroundings;
  readonly oracle: OwnershipOracle;
  /** The nodes that a world begins with. */
  readonly nodes: readonly SimulatedNode[];
  /** A node or a client by its name. */
  process(name: string): SimulatedProcess;
  node(name: string): SimulatedNode;
  /** Nodes that come and go. */
  guest(number: number): SimulatedNode;
}

interface Backup {
  readonly atMs: number;
  readonly members: readonly StoredRecord[];
  readonly shards: readonly StoredRecord[];
}

const backupEveryMs = 500;
const backupsMax = 60;
const guestsMax = 3;
/** For so long at most a node goes on until it sends something, and dies. */
const sendingMs = 5_000;
const sentAtDeathMax = 50;
/** How long a node is without an answer after one that came late: longer than a lease and its margin. */
const silentMs = 3_000;

/** Lets the faults of a schedule happen. */
export class FaultRunner {
  readonly #world: FaultyWorld;
  #backups: Backup[] = [];
  #storms = 0;

  constructor(world: FaultyWorld) {
    this.#world = world;
  }

  /** From now on, which is the 0 of the schedule. */
  arm(schedule: readonly Fault[]): void {
    const { wires } = this.#world.around;
    for (const fault of schedule) wires.setTimer(fault.atMs, () => this.#begin(fault));
    if (schedule.some(({ kind }) => kind === 'rollback')) this.#keepBackups();
  }

  #begin(fault: Fault): void {
    const { around } = this.#world;
    if (around.failure) return;
    around.note('fault', describeFault(fault));
    const end = this.#happens(fault);
    if (end) around.wires.setTimer(fault.forMs, end);
  }

  /** What ends it, if anything has to. */
  #happens(fault: Fault): (() => void) | undefined {
    const { kind, target, forMs } = fault;
    if (target === undefined) return this.#strikesAll(fault);
    const process = this.#world.process(target);
    switch (kind) {
      case 'crash':
      case 'drain':
        return this.#stop(this.#world.node(target), kind);
      case 'late-append':
        return this.#dieSending(this.#world.node(target), forMs);
      case 'pause':
      case 'suspend':
        return this.#freeze(process, kind, target);
      case 'clock-rate':
      case 'wall-jump':
        return this.#setClock(process, fault);
      case 'slow-store':
      case 'doubtful-writes':
      case 'stale-reads':
      case 'late-watch':
        return this.#troubleStores(process, fault);
      case 'slow-log':
      case 'doubtful-appends':
      case 'no-log':
      case 'full-log':
      case 'stale-log':
        return this.#troubleLogs(target, fault);
      case 'late-flush':
        process.faults.hold({ direction: 'out' });
        this.#world.around.wires.setTimer(forMs / 2, () => process.faults.breakLinks());
        return () => process.faults.mendLinks();
      case 'late-proof':
        process.faults.delay(fault.amount ?? 0, { link: 'control', direction: 'in' });
        this.#world.around.wires.setTimer(Math.max(0, forMs - silentMs), () => process.faults.cut({ link: 'control' }));
        return () => process.faults.mendLinks();
      default:
        this.#troubleLinks(process, fault);
        return () => process.faults.mendLinks();
    }
  }

  #stop(node: SimulatedNode, kind: 'crash' | 'drain'): () => void {
    if (kind === 'crash') node.crash();
    else node.leave();
    const startAgain = (): void => {
      if (node.state === 'leaving') this.#world.around.wires.setTimer(100, startAgain);
      else node.start();
    };
    return startAgain;
  }

  #dieSending(node: SimulatedNode, forMs: number): () => void {
    const { store, wires } = this.#world.around;
    const faults = store.of(node.name);
    faults.nextAppends('late', sentAtDeathMax);
    const waitsUntilMs = wires.trueMs + Math.min(sendingMs, forMs / 2);
    const look = (): void => {
      if (faults.lateCount > 0 || wires.trueMs >= waitsUntilMs) node.crash();
      else wires.setTimer(20, look);
    };
    look();
    return () => {
      faults.heal();
      faults.releaseLate();
      node.start();
    };
  }

  #freeze(process: SimulatedProcess, kind: 'pause' | 'suspend', target: string): () => void {
    const { clock } = process;
    const { rate } = clock;
    clock.freeze();
    if (kind === 'pause') return () => clock.thaw();
    clock.rate = 0;
    const node = this.#world.node(target);
    node.suspendedAtMs = Number.POSITIVE_INFINITY;
    return () => {
      const { wires } = this.#world.around;
      node.suspendedAtMs = wires.trueMs;
      clock.rate = rate;
      // Its clocks go on a little before its processes do.
      wires.setTimer(0.5, () => clock.thaw());
    };
  }

  #setClock(process: SimulatedProcess, { kind, amount = 0 }: Fault): (() => void) | undefined {
    const { clock } = process;
    if (kind === 'wall-jump') {
      clock.jumpWall(amount);
      return undefined;
    }
    const { rate } = clock;
    clock.rate = amount;
    return () => (clock.rate = rate);
  }

  #troubleStores({ faults }: SimulatedProcess, { kind, amount, variant }: Fault): (() => void) | undefined {
    const stores = [faults.members, faults.shards];
    const each = (run: (store: StoreFaults) => void): void => stores.forEach(run);
    switch (kind) {
      case 'slow-store':
        each((store) => store.slow(amount ?? 0));
        return () => each((store) => store.slow(0));
      case 'doubtful-writes':
        each((store) => store.nextWrites(variant as WriteFault, amount));
        return undefined;
      case 'stale-reads':
        each((store) => store.staleReads());
        return () => each((store) => store.freshReads());
      default:
        each((store) => (amount === undefined ? store.holdWatches() : store.delayWatches(amount)));
        return () => each((store) => store.mendWatches());
    }
  }

  #troubleLogs(target: string, { kind, amount = 0, variant }: Fault): () => void {
    const { store } = this.#world.around;
    const faults = store.of(target);
    if (kind === 'slow-log') faults.slow(amount);
    else if (kind === 'doubtful-appends') faults.nextAppends(variant as AppendFault, amount);
    else if (kind === 'no-log' && variant !== undefined) faults.breakAtAppend(variant as 'lost' | 'stored_unknown');
    else if (kind === 'no-log') faults.unavailable();
    else if (kind === 'full-log') faults.full();
    else faults.staleReads(store.lastOf('events'), store.lastOf('states'));
    return () => {
      faults.heal();
      faults.releaseLate();
    };
  }

  #troubleLinks({ faults }: SimulatedProcess, { kind, link, amount = 0, variant, forMs, other }: Fault): void {
    const noticeAfterMs = variant === 'noticed' ? Math.min(2_000, forMs / 2) : undefined;
    switch (kind) {
      case 'sever':
        faults.sever(this.#world.process(other ?? '').faults, variant === 'out' ? 'out' : 'both');
        return;
      case 'delay':
        faults.delay(amount, { link, direction: variant as 'in' | 'out' | 'both' });
        return;
      case 'lose-link':
        faults.disconnect();
        return;
      default: {
        const direction = kind === 'cut-in' ? 'in' : kind === 'cut-out' ? 'out' : 'both';
        faults.cut({ direction, link, noticeAfterMs });
      }
    }
  }

  #strikesAll({ kind, forMs, amount = 0, variant }: Fault): (() => void) | undefined {
    const { oracle } = this.#world;
    if (kind === 'rollback') {
      this.#rollBack(amount, variant);
      return undefined;
    }
    if (kind === 'storm') {
      this.#storm(forMs);
      return undefined;
    }
    oracle.outage(forMs);
    const stores = (): StoreFaults[] => this.#everyNode().flatMap(({ faults }) => [faults.members, faults.shards]);
    for (const store of stores()) store.unavailable();
    return () => {
      for (const store of stores()) store.available();
    };
  }

  #everyNode(): SimulatedNode[] {
    const guests = Array.from({ length: guestsMax }, (_, number) => this.#world.guest(number));
    return [...this.#world.nodes, ...guests];
  }

  /** Every second a guest comes or goes. */
  #storm(forMs: number): void {
    const { around } = this.#world;
    const random = around.randomFor(`storm ${(this.#storms += 1)}`);
    const endsAt = around.wires.trueMs + forMs;
    const tick = (): void => {
      const guests = Array.from({ length: guestsMax }, (_, number) => this.#world.guest(number));
      if (around.wires.trueMs >= endsAt) {
        this.#sendAway(guests);
        return;
      }
      const guest = guests[Math.floor(random.next() * guestsMax)] as SimulatedNode;
      if (guest.state === 'down') guest.start();
      else if (random.next() < 0.8) guest.leave();
      else guest.crash();
      around.wires.setTimer(1_000, tick);
    };
    tick();
  }

  #sendAway(guests: readonly SimulatedNode[]): void {
    for (const guest of guests) guest.leave();
    const { wires } = this.#world.around;
    if (guests.some(({ state }) => state !== 'down')) wires.setTimer(200, () => this.#sendAway(guests));
  }

  #keepBackups(): void {
    const { wires, hub } = this.#world.around;
    const { members, shards } = hub.cluster(simulatedCluster);
    this.#backups.push({ atMs: wires.trueMs, members: members.records(), shards: shards.records() });
    if (this.#backups.length > backupsMax) this.#backups.shift();
    wires.setTimer(backupEveryMs, () => this.#keepBackups());
  }

  /** The servers lose what was written since, as those do that are restored from a backup; everybody has to connect anew. */
  #rollBack(backMs: number, which: string | undefined): void {
    const { around, oracle } = this.#world;
    const { members, shards } = around.hub.cluster(simulatedCluster);
    const backup = this.#backups.findLast(({ atMs }) => atMs <= around.wires.trueMs - backMs) ?? this.#backups[0];
    if (!backup) return;
    if (which !== 'shards') members.restore(backup.members);
    if (which !== 'members') shards.restore(backup.shards);
    around.history.clear();
    oracle.setBack();
    for (const { faults } of this.#everyNode()) faults.breakLinks('control');
  }
}
