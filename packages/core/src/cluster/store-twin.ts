import type { Clock } from '../base/clock.ts';
import { PerkeyError } from '../base/errors.ts';
import type { Incarnated, MemberRecord } from './records.ts';
import type { Members } from './members.ts';

export interface StoreTwinOptions {
  readonly members: Members;
  readonly clock: Clock;
  readonly self: Incarnated;
  /** The private store of this node. */
  readonly storeId: string;
  /** How long a member that has died may be among the living. */
  readonly patienceMs: number;
}

const lookEveryMs = 50;

/**
 * Resolves when no other living member has this private store, or a copy of it; throws `store.mismatch` where one goes on having it.
 *
 * Invariant: of several copies of a store at most one is in use at a time. Each node writes its own record, which names its store, before it looks
 * at those of the others: of two that start at once, at least one sees the other.
 */
export async function aloneWithStore(options: StoreTwinOptions, wanted: () => boolean): Promise<void> {
  const { members, clock, storeId, patienceMs } = options;
  const giveUpAt = clock.now() + patienceMs;
  for (;;) {
    const twin = members.synced ? twinOf(options) : undefined;
    if ((members.synced && twin === undefined) || !wanted()) return;
    if (twin !== undefined && clock.now() >= giveUpAt) {
      const text = `the store ${storeId} of this node is also that of node "${twin.nodeId}", which runs: one of them is a copy, and histories would be split; start this node with a store of its own`;
      throw new PerkeyError('store.mismatch', text, { details: { store: storeId, node: twin.nodeId } });
    }
    await new Promise<void>((resolve) => void clock.setTimer(lookEveryMs, resolve));
  }
}

function twinOf({ members, self, storeId }: StoreTwinOptions): MemberRecord | undefined {
  for (const { record } of members.all()) {
    if (record.nodeId !== self.nodeId && record.store === storeId && record.state !== 'gone') return record;
  }
  return undefined;
}
