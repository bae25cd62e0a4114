import type { Pending } from './pending.ts';
import type { Routes } from './routes.ts';

interface Key {
  /** The latest call to it that is under way at the present owner. */
  lastSeq: number;
  /** A call to it is under way at a former owner. */
  isElsewhere: boolean;
}

/** The keys with calls under way, as of one moment. */
export class InFlightKeys {
  readonly #keys = new Map<string, Key>();
  readonly #unclear = new Set<number>();

  constructor(attempts: Iterable<Pending>, routes: Routes) {
    for (const pending of attempts) {
      const route = routes.get(pending.shard);
      const isElsewhere = route === undefined || route.target !== pending.target || route.epoch !== pending.epoch;
      if (isElsewhere) this.#unclear.add(pending.shard);
      const address = `${pending.type}/${pending.key}`;
      const key = this.#keys.get(address);
      if (key === undefined) {
        this.#keys.set(address, { lastSeq: pending.seq, isElsewhere });
        continue;
      }
      if (pending.seq > key.lastSeq) key.lastSeq = pending.seq;
      key.isElsewhere ||= isElsewhere;
    }
  }

  /** I6: whether every earlier call to the same key is done or on its way to the same owner, and no later one is under way. */
  mayFollow(pending: Pending): boolean {
    const key = this.#keys.get(`${pending.type}/${pending.key}`);
    return key === undefined || (!key.isElsewhere && key.lastSeq < pending.seq);
  }

  /** Whether nothing of the shard is under way at a former owner. */
  isClear(shard: number): boolean {
    return !this.#unclear.has(shard);
  }
}
