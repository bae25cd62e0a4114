import type { RequestHost } from '../contract/calls.ts';
import type { Attempts } from './attempts.ts';
import { requestFlag } from './envelope.ts';
import type { Pending } from './pending.ts';
import type { Routes } from './routes.ts';

/** So long a call made in a turn waits for the move of a shard. Then it may be that the move waits for it: by way of others, which nobody sees. */
const heldLongMs = 50;

/**
 * The flag with which a call goes out for whose turn the move of a shard waits, or may wait; 0 for all others. It asks the owner to take it even while
 * the shard leaves, and it does not wait here for calls of others to its key: else turns in shards that leave could wait for each other in a circle.
 *
 * I6: it has none while a call of its own actor to the same key is under way that could be refused alone, or comes later, or is elsewhere.
 */
export function markOf(pending: Pending, now: number, local: RequestHost | undefined, attempts: Attempts, routes: Routes): number {
  const { madeIn, startedAt, shard, seq } = pending;
  if (madeIn.length === 0) return 0;
  // A one-way message sends no chain.
  const isLeaving = local?.isLeaving(madeIn, pending.options.chain === undefined) === true;
  if (!isLeaving && now - startedAt < heldLongMs) return 0;
  const route = routes.get(shard);
  const isInTheWay = (sent: Pending): boolean =>
    sent.isBySame(pending) && (sent.mark === 0 || sent.seq > seq || sent.target !== route?.target || sent.epoch !== route?.epoch);
  if (attempts.some(isInTheWay)) return 0;
  return isLeaving ? requestFlag.awaited : requestFlag.heldLong;
}
