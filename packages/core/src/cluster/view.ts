import type { Members } from './members.ts';
import { placeShards } from './placement.ts';
import type { ShardRecord } from './records.ts';

/** Which node should own each shard, by the members of one view. Only active members are placed. */
export class Wish {
  readonly #placed: readonly (string | undefined)[];
  readonly #byStore: ReadonlyMap<string, string>;

  constructor(members: Members, shards: number, leaving: string | undefined) {
    const placed = [];
    const byStore = new Map<string, string>();
    for (const { record } of members.all()) {
      const { nodeId, weight, state, store } = record;
      if (state !== 'active' || nodeId === leaving) continue;
      placed.push({ id: nodeId, weight });
      if (store === undefined) continue;
      const other = byStore.get(store);
      if (other === undefined || nodeId < other) byStore.set(store, nodeId);
    }
    this.#placed = placeShards(placed, shards);
    this.#byStore = byStore;
  }

  /**
   * The id of the node; `undefined` where no member may own the shard. One with a home goes to the member that has that store (the first by
   * id, should two say so).
   */
  owner(shard: number, record: ShardRecord | undefined): string | undefined {
    return record?.home === undefined ? this.#placed[shard] : this.#byStore.get(record.home);
  }
}
