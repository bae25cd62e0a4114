import type { Members } from './members.ts';
import { placeShards } from './placement.ts';

/** Per shard the node that placement wants to own it; `undefined` where no member may. Only active members are placed. */
export function wish(members: Members, shards: number, leaving: string | undefined): readonly (string | undefined)[] {
  const placed = [];
  for (const { record } of members.all()) {
    if (record.state === 'active' && record.nodeId !== leaving) placed.push({ id: record.nodeId, weight: record.weight });
  }
  return placeShards(placed, shards);
}
