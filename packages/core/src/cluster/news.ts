import { controlLimits, encodeControlFrame, frameKind } from './frame.ts';
import type { Members } from './members.ts';
import { generationOf, type Incarnated, linksOf, sameIncarnation } from './records.ts';
import type { Routes } from './routes.ts';
import type { ShardTable } from './shard-table.ts';

/** What nodes tell clients of who owns what. Everything in it is a fact that only grows, so it may come late, twice and in any order. */
export interface News {
  readonly shards: number;
  /** Node id, incarnation, whether that incarnation is gone, and how often its connection was made anew. */
  readonly nodes: readonly (readonly [nodeId: string, incarnation: string, gone: boolean, links?: number])[];
  /** Shard, place of its owner in `nodes`, epoch. */
  readonly routes: readonly (readonly [shard: number, node: number, epoch: number])[];
  /** The actor types that some member hosts. */
  readonly types: readonly string[];
}

export interface RouteNews extends Incarnated {
  readonly shard: number;
  readonly epoch: number;
}

/** Numbers nodes in the order in which they are first named. */
class NodeList {
  readonly nodes: [string, string, boolean, number][] = [];
  readonly #places = new Map<string, number>();
  readonly #members: Members;

  constructor(members: Members) {
    this.#members = members;
  }

  place(who: Incarnated): number {
    let place = this.#places.get(who.incarnation);
    if (place === undefined) {
      const record = this.#members.get(who.nodeId)?.record;
      const links = record && sameIncarnation(record, who) ? linksOf(record) : 0;
      place = this.nodes.push([who.nodeId, who.incarnation, this.#members.isGone(who), links]) - 1;
      this.#places.set(who.incarnation, place);
    }
    return place;
  }
}

export function hostedTypes(members: Members): Set<string> {
  const types = new Set<string>();
  for (const { record } of members.all()) if (record.state !== 'gone') for (const type of Object.keys(record.types)) types.add(type);
  return types;
}

/** Everything that this node knows. */
export function wholeNews(members: Members, table: ShardTable): News {
  const list = new NodeList(members);
  for (const { record } of members.all()) list.place(record);
  const routes: [number, number, number][] = [];
  for (let shard = 0; shard < table.shards; shard += 1) {
    const record = table.get(shard)?.record;
    if (record && record.state !== 'free') routes.push([shard, list.place(record), record.epoch]);
  }
  return { shards: table.shards, nodes: list.nodes, routes, types: [...hostedTypes(members)] };
}

/** A few changed routes, and the owners before them, who may be gone. */
export function changeNews(members: Members, shards: number, changes: readonly RouteNews[], formerOwners: readonly Incarnated[]): News {
  const list = new NodeList(members);
  const routes = changes.map((change): [number, number, number] => [change.shard, list.place(change), change.epoch]);
  for (const owner of formerOwners) list.place(owner);
  return { shards, nodes: list.nodes, routes, types: [...hostedTypes(members)] };
}

/** That the connection of a node was made anew. */
export function linkNews(shards: number, { nodeId, incarnation }: Incarnated, links: number): News {
  return { shards, nodes: [[nodeId, incarnation, false, links]], routes: [], types: [] };
}

/** The news as frames: several, where one would be too large. Throws `payload.too_large` where a single fact is. */
export function newsFrames(news: News, frameBytesMax: number): readonly Uint8Array[] {
  try {
    return [encodeControlFrame(frameKind.topology, news, frameBytesMax, controlLimits)];
  } catch (error) {
    if (news.routes.length + news.nodes.length < 3) throw error;
    return halves(news).flatMap((half) => newsFrames(half, frameBytesMax));
  }
}

function halves({ shards, nodes, routes, types }: News): readonly News[] {
  const owners = new Set(routes.map(([, place]) => place));
  const others = nodes.filter((_, place) => !owners.has(place));
  const part = (someRoutes: News['routes'], someOthers: News['nodes']): News => {
    const places = [...new Set(someRoutes.map(([, place]) => place))];
    const newPlace = new Map(places.map((place, i) => [place, i]));
    const named = places.flatMap((place) => nodes.slice(place, place + 1));
    return {
      ...{ shards, types, nodes: [...named, ...someOthers] },
      routes: someRoutes.map(([shard, place, epoch]) => [shard, newPlace.get(place) ?? 0, epoch] as const),
    };
  };
  const [r, o] = [routes.length >> 1, others.length >> 1];
  return [part(routes.slice(0, r), others.slice(0, o)), part(routes.slice(r), others.slice(o))];
}

/** How many node ids a client remembers; the longest known of those that are gone are forgotten first. */
const knownMax = 4_096;

/** What is beyond it was heard of before all the others, and is told again where it matters. */
const knownNodesMax = 10_000;

/** What a client knows of members: enough to tell that an incarnation is gone. */
export class KnownNodes {
  /** In the order in which they were first heard of. */
  readonly #latest = new Map<string, { incarnation: string; gone: boolean }>();

  get size(): number {
    return this.#latest.size;
  }

  /** `isPast`: whether the latest incarnation that was known has ended, so that one below it may be there after all (the records were set back). */
  note(nodeId: string, incarnation: string, gone: boolean, isPast: (incarnation: string) => boolean): void {
    const before = this.#latest.get(nodeId);
    if (!before && this.#latest.size >= knownNodesMax) this.#forgetOldest();
    if (before?.incarnation === incarnation) before.gone ||= gone;
    else if (!before || generationOf(before.incarnation) < generationOf(incarnation)) this.#latest.set(nodeId, { incarnation, gone });
    else if (!gone && (before.gone || isPast(before.incarnation))) this.#latest.set(nodeId, { incarnation, gone });
    if (this.#latest.size > knownMax) this.#forgetOne();
  }

  #forgetOldest(): void {
    for (const nodeId of this.#latest.keys()) {
      this.#latest.delete(nodeId);
      return;
    }
  }

  isGone(who: Incarnated): boolean {
    const latest = this.#latest.get(who.nodeId);
    if (!latest) return false;
    if (latest.incarnation === who.incarnation) return latest.gone;
    return generationOf(latest.incarnation) > generationOf(who.incarnation);
  }

  #forgetOne(): void {
    for (const [nodeId, { gone }] of this.#latest) {
      if (!gone) continue;
      this.#latest.delete(nodeId);
      return;
    }
  }
}

/** Takes news, as `parseNews` gives them, into a client's routes. */
export function applyNews(news: News, nodes: KnownNodes, routes: Routes): void {
  routes.setShards(news.shards);
  if (news.types.length > 0) routes.addTypes(news.types);
  for (const [nodeId, incarnation, gone, links = 0] of news.nodes) {
    nodes.note(nodeId, incarnation, gone, (before) => routes.isUnheard(before));
    if (!nodes.isGone({ nodeId, incarnation })) routes.revive({ nodeId, incarnation });
    routes.noteLinks({ nodeId, incarnation }, links);
  }
  for (const [shard, place, epoch] of news.routes) {
    const node = news.nodes[place];
    if (node) routes.learn({ shard, nodeId: node[0], incarnation: node[1], epoch });
  }
  routes.sweepGone((who) => nodes.isGone(who));
}

const nodeIdForm = /^[A-Za-z0-9_-]{1,64}$/;
const isText = (value: unknown): value is string => typeof value === 'string';
const isNode = (value: unknown): boolean =>
  Array.isArray(value) &&
  isText(value[0]) &&
  nodeIdForm.test(value[0]) &&
  isText(value[1]) &&
  nodeIdForm.test(value[1]) &&
  typeof value[2] === 'boolean' &&
  (value[3] === undefined || (Number.isSafeInteger(value[3]) && (value[3] as number) >= 0));
const isRoute = (value: unknown): boolean =>
  Array.isArray(value) && value.length === 3 && value.every((part) => Number.isSafeInteger(part) && part >= 0);

/** `undefined` for a value from the wire that is no news. */
export function parseNews(value: unknown): News | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { shards, nodes, routes, types } = value as Record<string, unknown>;
  if (!Number.isSafeInteger(shards) || (shards as number) < 1 || (shards as number) > 16_384) return undefined;
  const whole = Array.isArray(nodes) && nodes.every(isNode) && Array.isArray(routes) && routes.every(isRoute);
  return whole && Array.isArray(types) && types.every(isText) ? (value as News) : undefined;
}
