import type { Members } from './members.ts';
import { type Incarnated, sameIncarnation, type ShardRecord } from './records.ts';

export interface ClaimCase {
  readonly self: Incarnated;
  readonly members: Members;
  /** Placement gives the shard to this node. */
  readonly wished: boolean;
  /** As last heard of; what is decided here is proposed as a compare-and-set on it. */
  readonly record: ShardRecord | undefined;
}

/**
 * H11: only a record that is free, was released to this node, or whose owner's incarnation is gone may be claimed. The successor claims whatever
 * placement says by now: it holds the state, and hands it on if it must.
 */
export function mayClaim({ self, members, wished, record }: ClaimCase): boolean {
  if (!record || record.state === 'free') return wished;
  const { successor } = record;
  if (sameIncarnation(record, self)) return record.state === 'owned' || (successor !== undefined && members.isGone(successor));
  if (record.state === 'releasing' && successor && sameIncarnation(successor, self)) return true;
  if (record.state === 'releasing' && successor && !members.isGone(successor)) return false;
  return wished && members.isGone(record);
}
