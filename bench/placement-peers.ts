import { createRequire } from 'node:module';
import { fnv1a, mix32, placeShards, type PlacementMember } from '@perkey/core/internal';

/** The index of the owning member by shard. */
export type Table = Int32Array;

/** One way to place shards on members. */
export interface Placer {
  readonly name: string;
  /** False where weights are not supported: it is then measured with equal weights only. */
  readonly weighted: boolean;
  /** The most pairs of member and shard, and the most members, that it is given; beyond them it takes seconds, or its tricks run out. */
  readonly pairsMax: number;
  readonly membersMax: number;
  place(members: readonly PlacementMember[], shards: number): Table;
  /** What is timed, where `place` only turns its answer into a table. */
  readonly timed?: (members: readonly PlacementMember[], shards: number) => unknown;
}

const noLimit = { pairsMax: Infinity, membersMax: Infinity } as const;

/** One hash for each pair of member and shard, as every method below needs them. */
function seedOf(member: PlacementMember): number {
  return mix32(fnv1a(member.id));
}

function score(seed: number, shard: number): number {
  return mix32(seed ^ mix32(Math.imul(shard + 1, 0x9e3779b1)));
}

const perkey: Placer = {
  name: 'perkey',
  weighted: true,
  ...noLimit,
  timed: placeShards,
  place(members, shards) {
    const indexOf = new Map(members.map(({ id }, i) => [id, i]));
    return Int32Array.from(placeShards(members, shards), (id) => indexOf.get(id ?? '') ?? -1);
  },
};

/** Highest random weight: the member with the best score for the shard; no bound on the load. */
const rendezvous: Placer = {
  name: 'rendezvous',
  weighted: true,
  ...noLimit,
  place(members, shards) {
    const seeds = members.map(seedOf);
    const weights = members.map(({ weight }) => weight);
    const equal = weights.every((weight) => weight === weights[0]);
    return Int32Array.from({ length: shards }, (_, shard) => {
      let best = -Infinity;
      let owner = -1;
      for (let i = 0; i < seeds.length; i += 1) {
        const hash = score(seeds[i]!, shard);
        const worth = equal ? hash : Math.log((hash + 0.5) / 2 ** 32) / weights[i]!;
        if (worth > best) {
          best = worth;
          owner = i;
        }
      }
      return owner;
    });
  },
};

/** Rendezvous with a bounded load the plain way: all pairs by their score, each member up to a fixed quota. */
const bounded: Placer = {
  name: 'bounded',
  weighted: false,
  pairsMax: 300_000,
  membersMax: Infinity,
  place(members, shards) {
    const seeds = members.map(seedOf);
    // The number of the pair sits below its score, so that numbers alone are sorted.
    const pairs = new Float64Array(seeds.length * shards);
    for (const [i, seed] of seeds.entries()) {
      for (let shard = 0; shard < shards; shard += 1) pairs[i * shards + shard] = score(seed, shard) * 2 ** 20 + i * shards + shard;
    }
    pairs.sort();
    const byHash = [...seeds.keys()].sort((a, b) => seeds[a]! - seeds[b]!);
    const room = new Int32Array(seeds.length).fill(Math.floor(shards / seeds.length));
    for (const i of byHash.slice(0, shards % seeds.length)) room[i]! += 1;
    const table = new Int32Array(shards).fill(-1);
    for (let at = pairs.length - 1; at >= 0; at -= 1) {
      const pair = pairs[at]! % 2 ** 20;
      const member = Math.floor(pair / shards);
      if (table[pair % shards] !== -1 || room[member] === 0) continue;
      table[pair % shards] = member;
      room[member]! -= 1;
    }
    return table;
  },
};

/** Maglev (Eisenbud et al. 2016): members in turn take the next free shard of their own permutation, until none is left. */
const maglev: Placer = {
  name: 'maglev',
  weighted: false,
  pairsMax: 2 ** 20,
  membersMax: Infinity,
  place(members, shards) {
    const seeds = members.map(seedOf);
    const orders = seeds.map((seed) => {
      const keyed = Float64Array.from({ length: shards }, (_, shard) => score(seed, shard) * 2 ** 20 + shard);
      return keyed.sort();
    });
    const turns = [...seeds.keys()].sort((a, b) => seeds[a]! - seeds[b]!);
    const next = new Int32Array(seeds.length);
    const table = new Int32Array(shards).fill(-1);
    for (let left = shards, turn = 0; left > 0; left -= 1, turn += 1) {
      const member = turns[turn % turns.length]!;
      let shard: number;
      do {
        shard = orders[member]![next[member]!]! % 2 ** 20;
        next[member]! += 1;
      } while (table[shard] !== -1);
      table[shard] = member;
    }
    return table;
  },
};

const RING_POINTS = 128;

/** A ring as the textbook has it, with as many points for each member as `hash-ring` takes. */
const ring: Placer = {
  name: `ring of ${RING_POINTS}`,
  weighted: false,
  ...noLimit,
  place(members, shards) {
    const points = new Float64Array(members.length * RING_POINTS);
    for (const [i, member] of members.entries()) {
      const seed = seedOf(member);
      for (let k = 0; k < RING_POINTS; k += 1) points[i * RING_POINTS + k] = mix32(seed + mix32(k)) * 2 ** 20 + i;
    }
    points.sort();
    return Int32Array.from({ length: shards }, (_, shard) => {
      const wanted = mix32(fnv1a(`shard-${shard}`)) * 2 ** 20;
      let low = 0;
      let high = points.length;
      while (low < high) {
        const middle = (low + high) >>> 1;
        if (points[middle]! < wanted) low = middle + 1;
        else high = middle;
      }
      return points[low % points.length]! % 2 ** 20;
    });
  },
};

interface HashRing {
  getNode(key: string): string | null;
}

const HashRingClass = createRequire(import.meta.url)('hash-ring') as new (nodes: readonly string[]) => HashRing;

/**
 * The package as it is published. It sorts the whole ring anew for each member and looks a key up from end to end, hence the limits.
 * It compares the key itself with the hashes on its ring, not the hash of the key, so that named keys all fall to one member.
 */
const hashRing: Placer = {
  name: 'hash-ring',
  weighted: false,
  pairsMax: 100_000,
  membersMax: 256,
  place(members, shards) {
    const built = new HashRingClass(members.map(({ id }) => id));
    const indexOf = new Map(members.map(({ id }, i) => [id, i]));
    return Int32Array.from({ length: shards }, (_, shard) => indexOf.get(built.getNode(`shard-${shard}`) ?? '') ?? -1);
  },
};

export const placers: readonly Placer[] = [perkey, rendezvous, bounded, maglev, ring, hashRing];
