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

/** Whether nobody is left who would say again by himself what this record says, if the store has lost it. */
export function isAbandoned({ state, successor, ...owner }: ShardRecord, members: Members): boolean {
  return state === 'free' || (members.isGone(owner) && (successor === undefined || members.isGone(successor)));
}

export interface Claim {
  readonly self: Incarnated;
  readonly shard: number;
  /** What it is claimed from; `undefined` where there is no record, or the store was set back. */
  readonly before: ShardRecord | undefined;
  /** What is known of it, also where the store no longer does. */
  readonly known: ShardRecord | undefined;
  readonly home: ShardRecord['home'];
  /** An epoch that was seen elsewhere, such as in a log. */
  readonly above: number | undefined;
  readonly wallMs: number;
}

/** I2: the epoch is above the former one and above any that was seen, and at least the wall clock in ms. */
export function claimedRecord({ self, shard, before, known, above = 0, home, wallMs }: Claim): ShardRecord {
  const epoch = Math.max((known?.epoch ?? 0) + 1, above + 1, Math.floor(wallMs));
  const isHandedOver = before?.state === 'releasing' && before.transfer !== undefined && !sameIncarnation(before, self);
  return { ...self, shard, epoch, state: 'owned', home, ...(isHandedOver && { transfer: before.transfer }) };
}
