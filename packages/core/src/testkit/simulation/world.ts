import type { Random } from '../../base/random.ts';
import type { Fault } from './fault.ts';
import { FaultRunner, type FaultyWorld } from './fault-runner.ts';
import { OwnershipOracle } from './ownership-oracle.ts';
import { faultsEndMs } from './schedule.ts';
import { SimulatedClient } from './simulated-client.ts';
import { SimulatedNode } from './simulated-node.ts';
import type { SimulatedProcess } from './simulated-process.ts';
import { simulatedCluster, Surroundings, type SurroundingsOptions } from './surroundings.ts';

export interface WorldOptions extends SurroundingsOptions {
  readonly nodes: number;
  readonly clients: number;
  readonly minutes: number;
}

/** For so long after the last fault of a minute shards may still be on their way. */
const restMs = 15_000;
const minuteMs = 60_000;
/** For so long a cluster without faults may take to come up. */
const startLimitMs = 30_000;
/** How often it is looked whether something has come true. */
const lookEveryMs = 5;
/** What the body of a simulation may take after its time is over. */
const endLimitMs = 120_000;

/** A cluster in one process on virtual time, as those see it who write what happens in it. */
export class SimulationWorld implements FaultyWorld {
  readonly around: Surroundings;
  readonly oracle: OwnershipOracle;
  readonly nodes: readonly SimulatedNode[];
  readonly clients: readonly SimulatedClient[];
  readonly random: Random;
  readonly #options: WorldOptions;
  readonly #byName = new Map<string, SimulatedProcess>();
  readonly #guests = new Map<number, SimulatedNode>();
  readonly #nodeHooks: ((node: SimulatedNode) => Promise<void>)[] = [];
  readonly #endChecks: (() => void | Promise<void>)[] = [];
  readonly #running = new Set<Promise<void>>();
  #startedAtMs = Number.POSITIVE_INFINITY;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.around = new Surroundings(options);
    this.oracle = new OwnershipOracle(this.around, (nodeId) => this.#byName.get(nodeId) as SimulatedNode | undefined);
    this.random = this.around.randomFor('body');
    this.nodes = Array.from({ length: options.nodes }, (_, number) => this.#addNode(`node-${number}`));
    this.clients = Array.from({ length: options.clients }, (_, number) => this.#add(new SimulatedClient(`client-${number}`, this.around)));
  }

  /** Virtual ms since the cluster was up, by a clock that nothing troubles. */
  get nowMs(): number {
    return this.around.wires.trueMs - this.#startedAtMs;
  }

  /** Until the time of the simulation is over. What goes on by itself should end then. */
  get isRunning(): boolean {
    return this.nowMs < this.#options.minutes * minuteMs && this.around.failure === undefined;
  }

  /** Ends the simulation as failed. */
  fail(what: string | Error): void {
    this.around.fail(what);
  }

  /** A line for the history of the run. */
  note(who: string, what: string): void {
    this.around.note(who, what);
  }

  /** Runs something beside everything else. The simulation waits for its end; its rejection fails the simulation. */
  spawn(run: () => Promise<void>): void {
    const running: Promise<void> = run()
      .catch((error: unknown) => this.fail(error instanceof Error ? error : new Error(String(error))))
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Runs `run` in each node, each time it has come up. It dies with the node; what it then waits for never comes. */
  onNode(run: (node: SimulatedNode) => Promise<void>): void {
    this.#nodeHooks.push(run);
    for (const node of this.nodes) if (node.state === 'up') this.#runInNode(node);
  }

  /** Runs when all faults are over, everything that was spawned has ended, and every shard is served. */
  atEnd(check: () => void | Promise<void>): void {
    this.#endChecks.push(check);
  }

  process(name: string): SimulatedProcess {
    const process = this.#byName.get(name);
    if (!process) throw new Error(`no process of this world is named "${name}"`);
    return process;
  }

  node(name: string): SimulatedNode {
    const process = this.process(name);
    if (!(process instanceof SimulatedNode)) throw new Error(`${name} is no node`);
    return process;
  }

  guest(number: number): SimulatedNode {
    let guest = this.#guests.get(number);
    if (guest === undefined) this.#guests.set(number, (guest = this.#addNode(`guest-${number}`)));
    return guest;
  }

  /** Whether all nodes are up, and every shard is served by one of them. */
  get isSettled(): boolean {
    let owned = 0;
    for (const node of this.nodes) {
      if (node.state !== 'up') return false;
      owned += node.node?.inspect(0)?.shardsOwned ?? 0;
    }
    for (const guest of this.#guests.values()) if (guest.state !== 'down') return false;
    return owned === this.#options.shards;
  }

  /** The whole run. Rejects with the first thing that did not hold. */
  async run(schedule: readonly Fault[], body: (world: SimulationWorld) => void | Promise<void>): Promise<void> {
    const { wires } = this.around;
    const failed = (): boolean => this.around.failure !== undefined;
    for (const node of this.nodes) node.start();
    await this.#until(() => this.isSettled, startLimitMs, 'the cluster to come up');
    const connected = Promise.all(this.clients.map((client) => client.start()));
    await wires.run(connected);
    this.#startedAtMs = wires.trueMs;
    this.note('world', 'begins');
    let bodyEnded = false;
    this.spawn(async () => {
      await body(this);
      bodyEnded = true;
    });
    new FaultRunner(this).arm(schedule);
    this.#watchForRest();
    const lengthMs = this.#options.minutes * minuteMs;
    await this.#until(failed, lengthMs, undefined);
    await this.#until(() => bodyEnded && this.#running.size === 0, endLimitMs, 'everything that was begun to end');
    await this.#until(() => this.isSettled, restMs, 'every shard to be served at the end (I14)');
    await wires.run(this.#checkAtEnd(), { limitMs: endLimitMs, what: 'the checks at the end' });
    this.#throwFailure();
  }

  /** Ends all processes. */
  stop(): void {
    for (const process of this.#byName.values()) process.clock.kill();
  }

  async #checkAtEnd(): Promise<void> {
    for (const check of this.#endChecks) await check();
  }

  async #until(holds: () => boolean, limitMs: number, what: string | undefined): Promise<void> {
    const { wires } = this.around;
    const { around } = this;
    let isReached = false;
    const limit = wires.trueMs + limitMs;
    let lookAtMs = 0;
    // Asked after each step.
    const done = (): boolean => {
      if (around.failure !== undefined) return true;
      const nowMs = wires.trueMs;
      if (nowMs < lookAtMs) return nowMs >= limit;
      lookAtMs = nowMs + lookEveryMs;
      isReached = holds();
      return isReached || nowMs >= limit;
    };
    await wires.until(done, { limitMs: limitMs + 1, stepMs: limitMs + 1 });
    if (!isReached && what !== undefined) this.fail(`waited ${limitMs} ms in vain for ${what}: ${this.#describe()}`);
    this.#throwFailure();
  }

  #throwFailure(): void {
    if (this.around.failure !== undefined) throw this.around.failure;
  }

  /** I14, and that nothing remains of a fault: at the end of each minute, when it was quiet for a time. */
  #watchForRest(): void {
    const { wires } = this.around;
    const scale = Math.min(1, this.#options.minutes);
    for (let minute = 0; minute + 1 <= Math.max(1, this.#options.minutes); minute += 1) {
      const endsMs = (minute + faultsEndMs / minuteMs) * minuteMs * scale;
      wires.setTimer(endsMs + restMs * scale, () => {
        if (!this.isSettled) this.fail(`I14: ${restMs * scale} ms after the last fault not every shard is served: ${this.#describe()}`);
        this.oracle.settled();
      });
    }
  }

  #describe(): string {
    const nodes = [...this.nodes, ...this.#guests.values()].map((node) => {
      const inspection = node.node?.inspect(0);
      const what = inspection
        ? `${inspection.incarnation} owns ${inspection.shardsOwned}, lease ${inspection.leaseRemainingMs.toFixed(0)} ms`
        : '';
      return `${node.name} ${node.state} ${what}`;
    });
    const { shards } = this.around.hub.cluster(simulatedCluster);
    return [...nodes, ...shards.records().map(({ value }) => value)].join('\n');
  }

  #addNode(name: string): SimulatedNode {
    return this.#add(new SimulatedNode(name, this.around, this.oracle, (node) => this.#cameUp(node)));
  }

  #add<P extends SimulatedProcess>(process: P): P {
    this.#byName.set(process.name, process);
    return process;
  }

  #cameUp(node: SimulatedNode): void {
    if (this.#nodeHooks.length > 0) this.#runInNode(node);
  }

  #runInNode(node: SimulatedNode): void {
    for (const hook of this.#nodeHooks) {
      hook(node).catch((error: unknown) => this.fail(error instanceof Error ? error : new Error(String(error))));
    }
  }
}
