import type { Load } from './load.ts';
import { machineMs } from './machine-clock.ts';
import type { NodeProcess } from './node-process.ts';
import type { World, WorldOptions } from './world.ts';

/** How hard and how long a row is run. */
export interface Intensity {
  readonly perSecond: number;
  readonly keys: number;
  /** A short form of the row: shorter faults where the row allows it. */
  readonly short: boolean;
  /** Added to bounds of time: what a machine that is busy with other things may add. */
  readonly slackMs: number;
  readonly seed: number;
}

export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** What was to be reached, such as `<= 3000`; undefined for what is only told. */
  readonly bound?: string;
}

/** One row of the fault matrix. */
export interface Row {
  /** Such as `F7 toNode`; the part before the blank is the number of the row in the matrix. */
  readonly id: string;
  readonly fault: string;
  /** What was to be reached, in words. */
  readonly toReach: string;
  readonly world?: Partial<WorldOptions>;
  /** How long one call may take. Default: the client's. */
  readonly timeoutMs?: number;
  /** What part of all calls must end well at least, where the fault takes more. Default 0.8. */
  readonly okMin?: number;
  /** Left out of the check: how calls may end apart from `ok`. Default: only what is unknown. */
  readonly mayEnd?: RegExp;
  /** No state of an actor may be lost: nothing of the fault ends a process or an incarnation. */
  readonly keepsState?: boolean;
  /** Only the newest server can do what this row needs. */
  readonly newestServer?: boolean;
  /**
   * Epochs have to rise for each key, not for all keys of a shard together: the records were set back, and only what a log holds says how high
   * they were.
   */
  readonly epochsOfKeys?: boolean;
  /** Keys of the load, where the row brings a load of its own beside it. */
  readonly keys?: number;
  /** Every change carries an idempotency key, so that it is repeated where its outcome is unknown. */
  readonly idempotent?: boolean;
  /** Calls per second, where the row brings a load of its own beside it. */
  readonly perSecond?: number;
  readonly run: (stage: Stage) => Promise<void>;
}

export interface StageParts {
  readonly world: World;
  readonly load: Load;
  readonly intensity: Intensity;
}

export interface Victim {
  readonly node: NodeProcess;
  readonly keys: readonly string[];
  /** The keys of all other nodes. */
  readonly others: readonly string[];
  /** Its incarnation. */
  readonly first: string;
}

/** What a row works with: a world under load, and a place for what it finds. */
export class Stage {
  readonly world: World;
  readonly load: Load;
  readonly intensity: Intensity;
  readonly figures: Figure[] = [];
  readonly problems: string[] = [];
  /** Named only so that a run without a bite can be told from one that is well. */
  bites = 0;

  constructor({ world, load, intensity }: StageParts) {
    this.world = world;
    this.load = load;
    this.intensity = intensity;
  }

  /** A figure of time that must not be above its bound. */
  atMost(name: string, valueMs: number, boundMs: number): void {
    const limit = boundMs + this.intensity.slackMs;
    this.#figure({ name, value: valueMs, unit: 'ms', bound: `<= ${Math.round(boundMs)}` }, valueMs <= limit);
  }

  /** A number that must be exactly this. */
  exactly(name: string, value: number, wanted: number, unit: string = ''): void {
    this.#figure({ name, value, unit, bound: `= ${wanted}` }, value === wanted);
  }

  below(name: string, value: number, bound: number, unit: string = ''): void {
    this.#figure({ name, value, unit, bound: `<= ${bound}` }, value <= bound);
  }

  above(name: string, value: number, bound: number, unit: string = ''): void {
    this.#figure({ name, value, unit, bound: `>= ${bound}` }, value >= bound);
  }

  /** Told, without a bound. */
  note(name: string, value: number, unit: string): void {
    this.figures.push({ name, value, unit });
  }

  /** The guard against a fault that did nothing: the run is void where this does not hold. */
  bit(what: string, holds: boolean): void {
    this.bites += 1;
    if (!holds) this.problems.push(`the fault did not bite: ${what} did not happen`);
  }

  check(what: string, holds: boolean, seen: unknown = ''): void {
    if (!holds) this.problems.push(`${what}: ${typeof seen === 'string' ? seen : JSON.stringify(seen)}`.slice(0, 500));
  }

  /** The keys that this node owns now; `most` of them at most. */
  keysOf(nodeId: string, most: number = Infinity): string[] {
    return this.world.owned(nodeId, this.load.keys).slice(0, most);
  }

  /** Readers inside the node, on a few of its keys. */
  readersIn(node: NodeProcess, everyMs: number = 2): void {
    node.readers(this.keysOf(node.nodeId, 8), everyMs);
  }

  /** The node that something is about to be done to, after a second under load with readers inside it, and what it owns by then. */
  async victim(nodeId: string, readers: boolean = true): Promise<Victim> {
    const node = this.world.node(nodeId);
    if (readers) this.readersIn(node);
    await this.load.pass(1_000);
    const keys = this.keysOf(nodeId);
    const own = new Set(keys);
    return { node, keys, others: this.load.keys.filter((key) => !own.has(key)), first: node.incarnation };
  }

  /** Waits until the node has joined anew, and all of the world's nodes own equal parts again. */
  async backAgain(node: NodeProcess): Promise<void> {
    await node.until('it joins again', () => node.incarnations.length >= 2);
    await this.world.observer.settled(this.world.nodes.map(({ nodeId }) => nodeId));
  }

  /** A turn of a key of this node that takes so long; resolves when it runs. */
  async longTurn(nodeId: string, holdMs: number): Promise<ReturnType<Load['add']>> {
    const [key = ''] = this.keysOf(nodeId, 1);
    const call = this.load.add(key, holdMs);
    await this.world.node(nodeId).until('the long turn runs', () => this.world.node(nodeId).started.has(call.rid));
    return call;
  }

  /**
   * Waits until all of these keys answer calls that were begun after `since`, by another incarnation than `except`, and notes the time to
   * the last of them. A read of each key is begun now, so that none is without a call.
   */
  async gap(keys: readonly string[], since: number, boundMs: number, except: string = ''): Promise<number> {
    this.load.probe(keys);
    const { lastMs, medianMs } = await this.load.recovered(keys, since, except);
    this.note('gap, median key', medianMs, 'ms');
    this.atMost('gap, worst key', lastMs, boundMs);
    return machineMs();
  }

  /** That the calls of these keys in the span ended well, all of them. */
  untouched(what: string, from: number, to: number, keys: readonly string[]): void {
    const { ok = 0, ...others } = this.load.tally(from, to, keys);
    this.check(`${what} are not answered`, ok > 0);
    this.check(`${what} see errors`, Object.keys(others).length === 0, others);
  }

  #figure(figure: Figure, good: boolean): void {
    this.figures.push(figure);
    if (!good) this.problems.push(`${figure.name} is ${figure.value.toFixed(1)} ${figure.unit}, not ${figure.bound}`);
  }
}
