import type { SimulatedNode } from '../simulated-node.ts';
import type { SimulationWorld } from '../world.ts';
import type { OperationMark } from './marks.ts';

export interface TurnStart {
  readonly node: SimulatedNode;
  readonly type: string;
  readonly key: string;
  readonly epoch: number;
  readonly mark: OperationMark;
}

/** A turn under way. */
export interface TurnAccount {
  readonly incarnation: string;
  /** Its effect happens: the state has this life and, with this effect, this version. */
  effect(life: string, version: number, isRead: boolean): void;
}

interface Executed {
  times: number;
  /** The caller was told that it was not, and never will be. */
  isDenied: boolean;
  /** The life of the state on which it had its effect last. */
  life: string | undefined;
}

interface CellTruth {
  life: string;
  version: number;
  epoch: number;
}

/**
 * What handlers did, written down by themselves and judged at once:
 *
 * - A call is executed once at most, unless it allows a repeat (I4), and never once its caller was told that it was not (I11).
 * - Calls of one caller to one key are executed in the order in which they were made (I6).
 * - Effects of one life of a state count up by one: no two states go on from the same one, and none is forgotten.
 * - A state dies only where its shard got an owner that could not have it.
 */
export class Ledger {
  #world: SimulationWorld | undefined;
  readonly #executed = new Map<string, Executed>();
  readonly #lastOf = new Map<string, number>();
  readonly #cells = new Map<string, CellTruth>();
  readonly #lifeEpochs = new Map<string, { readonly first: number; last: number }>();
  readonly #repeated = new Set<string>();
  #lives = 0;
  executions = 0;
  deaths = 0;

  /** To be called before the first turn. */
  open(world: SimulationWorld): void {
    this.#world = world;
  }

  /** The first and the last epoch in which a life of a state was seen. */
  epochsOf(life: string): { readonly first: number; readonly last: number } {
    return this.#lifeEpochs.get(life) ?? { first: 0, last: 0 };
  }

  newLife(node: SimulatedNode, type: string, key: string): string {
    this.#lives += 1;
    return `${this.#lives}@${node.name}/${type}/${key}`;
  }

  turnStarts({ node, type, key, epoch, mark }: TurnStart): TurnAccount {
    const address = `${type}/${key}`;
    const { incarnation } = node;
    this.executions += 1;
    this.#execute(mark, address, node.name);
    return {
      incarnation,
      effect: (life, version, isRead) => {
        // What a handler still does that a node began before it was evicted, nobody is told and nobody sees.
        const oracle = this.#world?.oracle;
        if (oracle === undefined || oracle.isGone(incarnation)) return;
        if (oracle.judges && !oracle.owns(oracle.shardOf(key), incarnation))
          this.#fail(`I17: ${mark.rid} has its effect on ${address} at ${node.name}, which has given the shard away`);
        if (!isRead) this.#hasEffect(mark, address, life);
        this.#effect(address, key, epoch, life, version, isRead);
      },
    };
  }

  /** The caller of the operation was told that it was not executed. */
  denied({ rid }: OperationMark, why: string): void {
    const executed = this.#executed.get(rid);
    if (executed !== undefined && executed.times > 0) this.#fail(`I11: ${rid} was executed, and its caller told that it was not: ${why}`);
    else this.#executed.set(rid, { times: 0, isDenied: true, life: undefined });
  }

  /** The caller of the operation was told that it was executed. */
  confirmed({ rid }: OperationMark): void {
    if ((this.#executed.get(rid)?.times ?? 0) === 0) this.#fail(`${rid} was answered, and never executed`);
  }

  /** Whether a request that was sent again had its effect in two lives of a state: what was remembered of it died with the first. */
  wasRepeated(address: string): boolean {
    return this.#repeated.has(address);
  }

  timesOf(rid: string): number {
    return this.#executed.get(rid)?.times ?? 0;
  }

  #execute(mark: OperationMark, address: string, by: string): void {
    const { rid, caller, n, mayRepeat } = mark;
    const executed = this.#executed.get(rid) ?? { times: 0, isDenied: false, life: undefined };
    executed.times += 1;
    this.#executed.set(rid, executed);
    if (executed.isDenied) this.#fail(`I11: ${rid} is executed by ${by}, and its caller was told that it was not`);
    if (mayRepeat) return;
    if (executed.times > 1) this.#fail(`I4: ${rid} is executed ${executed.times} times, now by ${by}`);
    const lane = `${caller} ${address}`;
    const last = this.#lastOf.get(lane) ?? -1;
    if (n < last) this.#fail(`I6: call ${n} of ${caller} to ${address} is executed after its call ${last}`);
    this.#lastOf.set(lane, Math.max(n, last));
  }

  /** What was remembered of it is part of the state: in one life it has its effect once, whoever sends it again. */
  #hasEffect({ rid }: OperationMark, address: string, life: string): void {
    const executed = this.#executed.get(rid);
    if (executed === undefined) return;
    if (executed.life === life) this.#fail(`I4: ${rid} has its effect on ${address} twice in life ${life}`);
    else if (executed.life !== undefined) this.#repeated.add(address);
    executed.life = life;
  }

  #effect(address: string, key: string, epoch: number, life: string, version: number, isRead: boolean): void {
    const { oracle } = this.#world as SimulationWorld;
    const known = this.#lifeEpochs.get(life);
    if (known) known.last = Math.max(known.last, epoch);
    else this.#lifeEpochs.set(life, { first: epoch, last: epoch });
    const truth = this.#cells.get(address);
    const written = isRead ? 0 : 1;
    if (truth === undefined || !oracle.judges) {
      this.#cells.set(address, { life, version, epoch });
      return;
    }
    if (truth.life === life) {
      if (version !== truth.version + written)
        this.#fail(`${address} has version ${version} after ${truth.version} of life ${life}${isRead ? ' in a read' : ''}`);
    } else {
      this.deaths += 1;
      const shard = oracle.shardOf(key);
      if (!oracle.wasLost(shard, truth.epoch, epoch))
        this.#fail(
          `${address} of shard ${shard} began anew with life ${life} (epoch ${epoch}), though nothing ended life ${truth.life} (epoch ${truth.epoch})`,
        );
      if (version !== written) this.#fail(`${address} begins life ${life} with version ${version}`);
    }
    truth.life = life;
    truth.version = version;
    truth.epoch = epoch;
  }

  #fail(what: string): void {
    this.#world?.fail(what);
  }
}
