import type { Pending } from './pending.ts';

/** Ids on the wire are taken again only after this many attempts; a call outlives far fewer. */
const idCount = 2 ** 30;
const placesLeast = 1_024;
/** Of the calls that waited at gates half as many may be under way as of all others, between these bounds. */
const haveWaited = { least: 8, most: 64 };
/** How long after its deadline an attempt that nobody waits for may be answered, and how much of its time is waited for at most. */
const leftBehindMs = 1_000;
const leftBehindMaxMs = 60_000;

/**
 * The attempts under way: each has an id of its own, so that a late answer is never taken for the answer to a later attempt (I11). Ids rise;
 * an attempt stands at the place that the low bits of its id name, and an id whose place is taken is passed over.
 */
export class Attempts {
  #places: (Pending | undefined)[] = Array.from({ length: placesLeast });
  #perShard: Uint32Array = new Uint32Array(0);
  #lastId = 0;
  /** All attempts under way have ids from this one on to the last, counted past `idCount`. */
  #firstId = 1;
  #size = 0;
  #leftBehind = 0;
  #haveWaited = 0;

  get size(): number {
    return this.#size;
  }

  /** Those that somebody waits for. */
  get awaited(): number {
    return this.#size - this.#leftBehind;
  }

  /** Whether fewer calls that had waited at a gate are under way than may be at the same time. */
  get hasRoom(): boolean {
    const share = (this.awaited - this.#haveWaited) / 2;
    return this.#haveWaited < Math.min(haveWaited.most, Math.max(haveWaited.least, share));
  }

  /** To be called once, when the number of shards is known, before the first attempt. */
  setShards(shards: number): void {
    if (this.#perShard.length === 0) this.#perShard = new Uint32Array(shards);
  }

  /** Attempts under way for the shard. */
  of(shard: number): number {
    return this.#perShard[shard] ?? 0;
  }

  begin(pending: Pending): void {
    if (this.#size * 2 >= this.#places.length) this.#grow();
    const last = this.#places.length - 1;
    const isFirst = this.#size === 0;
    do this.#lastId = (this.#lastId + 1) % idCount;
    while (this.#lastId === 0 || this.#places[this.#lastId & last] !== undefined);
    if (isFirst) this.#firstId = this.#lastId;
    pending.id = this.#lastId;
    pending.attempts += 1;
    this.#places[pending.id & last] = pending;
    this.#size += 1;
    if (pending.hasWaited) this.#haveWaited += 1;
    this.#perShard[pending.shard] = this.of(pending.shard) + 1;
  }

  /** The call whose attempt has this id; `undefined` for an attempt that is no longer waited for. */
  get(id: number): Pending | undefined {
    const pending = this.#places[id & (this.#places.length - 1)];
    return pending?.id === id ? pending : undefined;
  }

  /** Ends the attempt with this id, as its target told what became of it; `undefined` for one that is no longer waited for. */
  answered(id: number): Pending | undefined {
    const pending = this.get(id);
    if (pending === undefined) return undefined;
    this.end(pending);
    if (pending.target !== undefined) pending.target.isUnheard = false;
    return pending;
  }

  end(pending: Pending): void {
    if (pending.id === 0) return;
    this.#places[pending.id & (this.#places.length - 1)] = undefined;
    this.#size -= 1;
    if (pending.isLeftBehind) this.#leftBehind -= 1;
    pending.isLeftBehind = false;
    this.#noLongerWaited(pending);
    pending.id = 0;
    this.#perShard[pending.shard] = this.of(pending.shard) - 1;
  }

  #noLongerWaited(pending: Pending): void {
    if (pending.hasWaited) this.#haveWaited -= 1;
    pending.hasWaited = false;
  }

  /** Nobody waits for the attempt any more, and yet it is of interest what becomes of it, for a time. */
  leaveBehind(pending: Pending, now: number): void {
    pending.deadline = Math.min(pending.deadline, now + leftBehindMaxMs) + leftBehindMs;
    pending.isLeftBehind = true;
    pending.tail = undefined;
    pending.input = undefined;
    this.#leftBehind += 1;
    this.#noLongerWaited(pending);
  }

  /** In the order of the calls. */
  filter(chosen: (pending: Pending) => boolean): Pending[] {
    const found: Pending[] = [];
    this.forEach((pending) => {
      if (chosen(pending)) found.push(pending);
    });
    return found.sort((a, b) => a.seq - b.seq);
  }

  some(chosen: (pending: Pending) => boolean): boolean {
    return this.#find(chosen) !== undefined;
  }

  /** In no order; nothing may begin or end meanwhile. */
  forEach(visit: (pending: Pending) => void): void {
    this.#find((pending) => {
      visit(pending);
      return false;
    });
  }

  /** Looks only at places where an attempt can be: few calls take up few of them, one beside the other. */
  #find(chosen: (pending: Pending) => boolean): Pending | undefined {
    if (this.#size === 0) return undefined;
    const places = this.#places;
    const last = places.length - 1;
    while (places[this.#firstId & last] === undefined) this.#firstId = (this.#firstId + 1) % idCount;
    const width = Math.min(places.length, ((this.#lastId - this.#firstId + idCount) % idCount) + 1);
    for (let i = 0; i < width; i += 1) {
      const pending = places[(this.#firstId + i) & last];
      if (pending !== undefined && chosen(pending)) return pending;
    }
    return undefined;
  }

  /** Ids that differ in their low bits differ in one bit more, so each attempt finds a place of its own. */
  #grow(): void {
    const places: (Pending | undefined)[] = Array.from({ length: this.#places.length * 2 });
    for (const pending of this.#places) if (pending !== undefined) places[pending.id & (places.length - 1)] = pending;
    this.#places = places;
  }
}
