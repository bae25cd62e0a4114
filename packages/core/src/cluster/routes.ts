import type { Address } from '../contract/transport.ts';
import type { Incarnated } from './records.ts';
import { type Lane, newLane } from './sent-frames.ts';

/** One node incarnation as a target of requests. One object per incarnation, so that it can be compared by identity. */
export interface Target extends Incarnated {
  readonly lane: Lane;
  /** The node that asks is this target itself. */
  readonly local: boolean;
  /** Known to be gone: it will answer nothing more. */
  gone: boolean;
  /** Nobody listened at its address when it was last tried. */
  isUnheard: boolean;
  /** How often its connection is known to have been made anew. */
  links: number;
}

export interface Route {
  readonly target: Target;
  readonly epoch: number;
}

export interface RouteChange extends Incarnated {
  readonly shard: number;
  readonly epoch: number;
}

const nameForm = /^[A-Za-z0-9_-]{1,64}$/;
const isName = (value: unknown): value is string => typeof value === 'string' && nameForm.test(value);

export interface RoutesOptions {
  readonly addressOf: (who: Incarnated) => Address;
  readonly isLocal: (who: Incarnated) => boolean;
  /** A shard has a new owner, with a higher epoch than before. */
  readonly onRoute: (shard: number) => void;
  /** An incarnation will answer nothing more. */
  readonly onGone: (target: Target) => void;
  /** The connection of an incarnation was made anew: what was on its way to it or from it is lost. */
  readonly onRelinked?: (target: Target) => void;
}

/**
 * Who owns each shard, as far as this process has heard. Epochs only rise, so news may arrive late, twice and in any order. They fall where the
 * records were lost or set back; then what counts is who can be reached, and each owner decides for itself, as always.
 */
export class Routes {
  readonly #options: RoutesOptions;
  #routes: (Route | undefined)[] = [];
  readonly #targets = new Map<string, Target>();
  #types: ReadonlySet<string> | undefined;

  constructor(options: RoutesOptions) {
    this.#options = options;
  }

  /** 0 until the cluster's number of shards is known. */
  get shards(): number {
    return this.#routes.length;
  }

  setShards(shards: number): void {
    if (this.#routes.length === 0) this.#routes = Array.from({ length: shards });
  }

  get(shard: number): Route | undefined {
    return this.#routes[shard];
  }

  /** How many shards have an owner that is not known to be gone. */
  reachable(): number {
    let count = 0;
    for (const route of this.#routes) if (route && !route.target.gone) count += 1;
    return count;
  }

  /** `false` when it is known that no member hosts the type. */
  mayHost(type: string): boolean {
    return this.#types === undefined || this.#types.has(type);
  }

  /** The types that some member hosts; `undefined` while no member is known. */
  setTypes(types: ReadonlySet<string> | undefined): void {
    this.#types = types;
  }

  /** What somebody on the wire said of a shard's owner; passed over where it cannot be true. */
  hear(shard: number, nodeId: unknown, incarnation: unknown, epoch: unknown): void {
    if (!isName(nodeId) || !isName(incarnation) || !Number.isSafeInteger(epoch)) return;
    this.learn({ shard, nodeId, incarnation, epoch: epoch as number });
  }

  /** For who hears of members late and in any order: a type that was hosted once is asked for, and refused by its owner if it must be. */
  addTypes(types: readonly string[]): void {
    const known = this.#types;
    for (const type of types) {
      if (known?.has(type) === true) continue;
      this.#types = new Set([...(known ?? []), ...types]);
      return;
    }
    this.#types ??= new Set();
  }

  learn(change: RouteChange): void {
    const before = this.#routes[change.shard];
    const isShard = Number.isInteger(change.shard) && change.shard >= 0 && change.shard < this.#routes.length;
    if (!isShard || (before && before.epoch >= change.epoch && !this.#isSetBack(before, change))) return;
    this.#routes[change.shard] = { target: this.#target(change), epoch: change.epoch };
    this.#options.onRoute(change.shard);
  }

  /**
   * A lower epoch counts where the known owner is gone for good, or nobody listens at its address, and another one is told that is not gone: the
   * records may have been set back, and nobody can claim above an epoch that he never saw. It may also be old news; its owner then refuses, and
   * later news leads on.
   */
  #isSetBack({ target }: Route, { incarnation }: RouteChange): boolean {
    return (target.gone || target.isUnheard) && target.incarnation !== incarnation && this.#targets.get(incarnation)?.gone !== true;
  }

  /** Whether nobody listened at the address of this incarnation when it was last tried. */
  isUnheard(incarnation: string): boolean {
    return this.#targets.get(incarnation)?.isUnheard === true;
  }

  /** It was taken for gone because of what a store said that was set back since. */
  revive(who: Incarnated): void {
    const former = this.#targets.get(who.incarnation);
    if (!former?.gone) return;
    this.#targets.delete(who.incarnation);
    for (const [shard, route] of this.#routes.entries()) {
      if (route?.target !== former) continue;
      this.#routes[shard] = { target: this.#target(who), epoch: route.epoch };
      this.#options.onRoute(shard);
    }
  }

  markGone(who: Incarnated): void {
    const target = this.#targets.get(who.incarnation);
    if (!target || target.gone) return;
    target.gone = true;
    this.#options.onGone(target);
  }

  /** What somebody said of how often the connection of an incarnation was made anew; it only rises. */
  noteLinks(who: Incarnated, links: number): void {
    const target = this.#targets.get(who.incarnation);
    if (!target || target.local || links <= target.links) return;
    target.links = links;
    if (!target.gone) this.#options.onRelinked?.(target);
  }

  /** Marks gone every known target for which `isGone` says so. */
  sweepGone(isGone: (who: Incarnated) => boolean): void {
    for (const target of this.#targets.values()) {
      if (!target.gone && !target.local && isGone(target)) this.markGone(target);
    }
    this.#forgetUnused();
  }

  #forgetUnused(): void {
    let used: Set<Target> | undefined;
    for (const [incarnation, target] of this.#targets) {
      if (!target.gone) continue;
      used ??= this.#usedTargets();
      if (!used.has(target)) this.#targets.delete(incarnation);
    }
  }

  #usedTargets(): Set<Target> {
    const used = new Set<Target>();
    for (const route of this.#routes) if (route) used.add(route.target);
    return used;
  }

  #target(who: Incarnated): Target {
    const known = this.#targets.get(who.incarnation);
    if (known) return known;
    const { addressOf, isLocal } = this.#options;
    const target: Target = {
      nodeId: who.nodeId,
      incarnation: who.incarnation,
      lane: newLane(addressOf(who)),
      local: isLocal(who),
      gone: false,
      isUnheard: false,
      links: 0,
    };
    this.#targets.set(who.incarnation, target);
    return target;
  }
}
