import type { Members } from './members.ts';
import { placeShards } from './placement.ts';
import { type Incarnated, type MemberRecord, sameIncarnation } from './records.ts';

/** Per shard the node that placement wants to own it; `undefined` where no member may. Only active members are placed. */
export function wish(members: Members, shards: number, leaving: string | undefined): readonly (string | undefined)[] {
  const placed = [];
  for (const { record } of members.all()) {
    if (record.state === 'active' && record.nodeId !== leaving) placed.push({ id: record.nodeId, weight: record.weight });
  }
  return placeShards(placed, shards);
}

/**
 * Who takes a shard: the one that placement wants, or, where that one did not answer so many times, another one. A node that leaves rather
 * gives its shards to anybody than to lose their state.
 */
export function successorFor(members: Members, wanted: string, self: Incarnated, failures: number): MemberRecord | undefined {
  if (failures === 0) return members.get(wanted)?.record;
  const others = [...members.all()]
    .map(({ record }) => record)
    .filter((record) => record.state === 'active' && !sameIncarnation(record, self));
  const sorted = others.sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
  return sorted[(sorted.findIndex(({ nodeId }) => nodeId === wanted) + failures) % sorted.length];
}
