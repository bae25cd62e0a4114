import type { Pending } from './pending.ts';

/** Ids on the wire are taken again only after this many attempts; a call outlives far fewer. */
const idCount = 2 ** 30;

/** The attempts under way: each has an id of its own, so that a late answer is never taken for the answer to a later attempt (I11). */
export class Attempts {
  readonly #byId = new Map<number, Pending>();
  #perShard: Uint32Array = new Uint32Array(0);
  #lastId = 0;

  get size(): number {
    return this.#byId.size;
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
    do this.#lastId = (this.#lastId + 1) % idCount;
    while (this.#lastId === 0 || this.#byId.has(this.#lastId));
    pending.id = this.#lastId;
    pending.attempts += 1;
    this.#byId.set(pending.id, pending);
    this.#perShard[pending.shard] = this.of(pending.shard) + 1;
  }

  /** The call whose attempt has this id; `undefined` for an attempt that is no longer waited for. */
  get(id: number): Pending | undefined {
    return this.#byId.get(id);
  }

  end(pending: Pending): void {
    if (pending.id === 0) return;
    this.#byId.delete(pending.id);
    pending.id = 0;
    this.#perShard[pending.shard] = this.of(pending.shard) - 1;
  }

  filter(chosen: (pending: Pending) => boolean): Pending[] {
    const found: Pending[] = [];
    for (const pending of this.#byId.values()) if (chosen(pending)) found.push(pending);
    return found;
  }

  some(chosen: (pending: Pending) => boolean): boolean {
    for (const pending of this.#byId.values()) if (chosen(pending)) return true;
    return false;
  }

  /** In the order in which they began. */
  [Symbol.iterator](): IterableIterator<Pending> {
    return this.#byId.values();
  }
}
