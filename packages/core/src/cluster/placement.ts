import { PerkeyError } from '../base/errors.ts';
import { fnv1a, mix32 } from '../base/hash.ts';

/** A member that may own shards. `id` is unique in a view; `weight` is positive and finite, and only its ratio to the others counts. */
export interface PlacementMember {
  readonly id: string;
  readonly weight: number;
}

/** More has no use, and the answer is an array of this length. */
const SHARDS_MAX = 2 ** 24;

/** A share this close to a whole number of shards is that number: weights such as 0.1 have no exact sum. */
const SHARE_TOLERANCE = 1e-6;

/** Basis of the second hash of an id, so that two members are alike only if 64 bits of hash are. */
const SECOND_BASIS = 0x5bd1e995;

/** Numbers that choose a member's permutation: two for each of three rounds. */
const KEYS = 6;

/**
 * Which member owns each shard: the ids of the owners by shard number, all `undefined` without members. Depends on nothing but the
 * set of members (not on their order) and the number of shards, so that every node finds the same answer by itself.
 *
 * Every member gets its share, `shards * weight / sum of weights`, rounded down or up. When a member leaves, joins or changes its weight,
 * the shards that must move do, and on average about `sqrt(shards) / 2` others (3 % of 256): the price of exact shares without memory.
 *
 * This is weighted rendezvous hashing (Thaler and Ravishankar 1998; weights as in Schindelhauer and Schomaker 2005) with a bounded
 * load (Mirrokni, Thorup and Zadimoghaddam 2018): of all pairs of member and shard, the one with the best score is granted first, and
 * a member with a full share takes no more. As shards and members rank each other by one score, that is the one stable matching
 * (Gale and Shapley 1962), whatever the order of the proposals; so the members propose: each walks the shards from its best score
 * on, all in step, and takes what is still free. A member's scores are a permutation of the shards (as in Maglev, Eisenbud et al. 2016)
 * at the times that are expected of ordered exponential variables, instead of independent hashes: less chance in them, so fewer shards
 * to move for balance, and the next best shard costs no search. About `shards * ln(shards)` steps in all, whatever the number of members.
 *
 * @throws PerkeyError `options.invalid` for a number of shards, a weight or a duplicate id that breaks the rules above.
 */
export function placeShards(members: readonly PlacementMember[], shards: number): readonly (string | undefined)[] {
  if (!Number.isSafeInteger(shards) || shards < 1 || shards > SHARDS_MAX) {
    throw new PerkeyError('options.invalid', `shards is ${shards}; it must be a whole number from 1 to ${SHARDS_MAX}`);
  }
  const sorted = sortedMembers(members);
  if (sorted.length === 0) return new Array<undefined>(shards).fill(undefined);
  const owners = walkInStep(sorted, shareOut(sorted, shards), shards);
  return Array.from(owners, (owner) => sorted[owner]?.id);
}

function sortedMembers(members: readonly PlacementMember[]): readonly PlacementMember[] {
  const sorted = members.toSorted((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  for (const [i, { id, weight }] of sorted.entries()) {
    if (!(weight > 0 && weight < Infinity)) {
      throw new PerkeyError('options.invalid', `weight of member ${JSON.stringify(id)} is ${weight}; it must be a positive finite number`);
    }
    if (id === sorted[i + 1]?.id) throw new PerkeyError('options.invalid', `member ${JSON.stringify(id)} is twice in one view`);
  }
  return sorted;
}

/** What each member may take. The sum of `least` and `extras` is the number of shards. */
interface Shares {
  /** By member: its proportional share, rounded down. */
  readonly least: Int32Array;
  /** By member: 1 if its share is not whole, so that it may take one of the extras. */
  readonly mayExceed: Uint8Array;
  /** How many members get one shard more than their least. Who they are is decided by the walk, which costs fewer moves than fixing them. */
  readonly extras: number;
  /** By member: weight relative to the greatest. */
  readonly speed: Float64Array;
}

function shareOut(members: readonly PlacementMember[], shards: number): Shares {
  const greatest = members.reduce((most, { weight }) => Math.max(most, weight), 0);
  const speed = Float64Array.from(members, ({ weight }) => weight / greatest);
  const total = speed.reduce((sum, one) => sum + one, 0);
  const least = new Int32Array(members.length);
  const mayExceed = new Uint8Array(members.length);
  let extras = shards;
  let candidates = 0;
  for (const [i, one] of speed.entries()) {
    const share = (shards * one) / total;
    const whole = Math.round(share);
    const exact = whole > 0 && Math.abs(share - whole) < SHARE_TOLERANCE;
    least[i] = exact ? whole : Math.floor(share);
    mayExceed[i] = exact ? 0 : 1;
    extras -= least[i] ?? 0;
    candidates += mayExceed[i] ?? 0;
  }
  if (candidates < extras) mayExceed.fill(1);
  return { least, mayExceed, extras, speed };
}

/** The walk itself: the owner of each shard, as an index of `members`. */
function walkInStep(members: readonly PlacementMember[], shares: Shares, shards: number): Int32Array {
  const { least, mayExceed } = shares;
  const walkers = new Walkers(members, shares.speed, shards);
  const owners = new Int32Array(shards).fill(-1);
  const load = new Int32Array(members.length);
  let extras = shares.extras;
  let left = shards;
  while (left > 0) {
    const member = walkers.next;
    const spare = least[member]! - load[member]!;
    if (spare > 0 || (spare === 0 && extras > 0 && mayExceed[member] === 1)) {
      const shard = walkers.step();
      if (owners[shard] !== -1) continue;
      owners[shard] = member;
      load[member]! += 1;
      left -= 1;
      if (spare === 0) extras -= 1;
    } else {
      walkers.retire();
    }
  }
  return owners;
}

/**
 * Members on their way through the shards, the one whose turn comes first at the head: a binary heap by the time of the next step.
 *
 * Step k of a member comes at the time expected of the k-th smallest of `shards` exponential variables, 1/n + 1/(n-1) + ... + 1/(n-k+1)
 * (Rényi 1953), divided by its speed. It needs no logarithm, so the same bits come out on every machine.
 */
class Walkers {
  readonly #shards: number;
  readonly #mask: number;
  readonly #shift: number;
  readonly #speed: Float64Array;
  /** Six numbers for each member, that choose its permutation. */
  readonly #keys: Int32Array;
  /** By member: where between two of the common times its own step comes, in (0, 1). */
  readonly #phase: Float64Array;
  readonly #position: Int32Array;
  /** By position: the common time at which it is reached. */
  readonly #reached: Float64Array;
  readonly #heap: Int32Array;
  readonly #heapTime: Float64Array;
  #size: number;

  constructor(members: readonly PlacementMember[], speed: Float64Array, shards: number) {
    const bits = 32 - Math.clz32(shards - 1);
    this.#shards = shards;
    this.#mask = 2 ** bits - 1;
    this.#shift = Math.max(1, (bits + 1) >> 1);
    this.#speed = speed;
    this.#keys = new Int32Array(members.length * KEYS);
    this.#phase = new Float64Array(members.length);
    this.#position = new Int32Array(members.length);
    this.#reached = new Float64Array(shards + 1);
    for (let k = 0; k < shards; k += 1) this.#reached[k + 1] = this.#reached[k]! + 1 / (shards - k);
    this.#heap = new Int32Array(members.length);
    this.#heapTime = new Float64Array(members.length);
    this.#size = members.length;
    for (const [member, { id }] of members.entries()) this.#prepare(member, id);
    for (let at = members.length - 1; at >= 0; at -= 1) this.#place(at, at, this.#timeOf(at));
  }

  /** The member whose step comes next. */
  get next(): number {
    return this.#heap[0]!;
  }

  /** Takes the next step; the shard that it leads to. */
  step(): number {
    const member = this.#heap[0]!;
    const shard = this.#shardAt(member, this.#position[member]!);
    this.#position[member]! += 1;
    this.#place(0, member, this.#timeOf(member));
    return shard;
  }

  /** The member whose step comes next walks no further. */
  retire(): void {
    this.#size -= 1;
    if (this.#size > 0) this.#place(0, this.#heap[this.#size]!, this.#heapTime[this.#size]!);
  }

  #prepare(member: number, id: string): void {
    const first = mix32(fnv1a(id));
    const second = mix32(fnv1a(id, SECOND_BASIS));
    this.#phase[member] = (first + 0.5) / 2 ** 32;
    for (let i = 0; i < KEYS; i += 1) this.#keys[member * KEYS + i] = mix32(first + mix32(second + i));
  }

  #timeOf(member: number): number {
    const position = this.#position[member]!;
    return (this.#reached[position]! + this.#phase[member]! / (this.#shards - position)) / this.#speed[member]!;
  }

  /**
   * The shard at a position of a member's own order: a bijection of the numbers of `bits` bits by rounds of odd multiples, sums and shifts,
   * again while the number is no shard (which closes the cycle to a permutation of the shards alone).
   */
  #shardAt(member: number, position: number): number {
    const keys = this.#keys;
    const mask = this.#mask;
    const shift = this.#shift;
    const at = member * KEYS;
    let value = position;
    do {
      for (let i = at; i < at + KEYS; i += 2) {
        value = (Math.imul(value, keys[i]! | 1) + keys[i + 1]!) & mask;
        value ^= value >>> shift;
      }
    } while (value >= this.#shards);
    return value;
  }

  /** Puts a member into the hole at `start` of the heap, or below it where others come earlier. */
  #place(start: number, member: number, time: number): void {
    const heap = this.#heap;
    const times = this.#heapTime;
    const size = this.#size;
    let at = start;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && isEarlier(times[child + 1]!, heap[child + 1]!, times[child]!, heap[child]!)) child += 1;
      if (isEarlier(time, member, times[child]!, heap[child]!)) break;
      heap[at] = heap[child]!;
      times[at] = times[child]!;
      at = child;
    }
    heap[at] = member;
    times[at] = time;
  }
}

function isEarlier(time: number, member: number, otherTime: number, other: number): boolean {
  return time < otherTime || (time === otherTime && member < other);
}
