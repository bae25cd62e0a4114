import type { Clock } from '../base/clock.ts';
import { PerkeyError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { CarriedActor } from '../contract/calls.ts';
import type { RecordStore, StoredRecord } from '../contract/record-store.ts';
import { type Incarnated, type ShardRecord, shardKey } from './records.ts';
import { settledWrite } from './settled-write.ts';
import type { ShardHost, ShardTransfers } from './shard-host.ts';

export interface ShardGift {
  readonly host: ShardHost;
  readonly transfers: ShardTransfers;
  readonly store: RecordStore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly newTransferId: () => string;
  /** What this node owns it by. */
  readonly record: ShardRecord;
  readonly revision: number;
  /** `undefined` when no node is left. */
  readonly successor: Incarnated | undefined;
  readonly drainMs: number;
  /** Aborted when the successor is gone, or this node's part in the shard has ended. */
  readonly signal: AbortSignal;
  /** False once this node's part in all shards has ended. */
  readonly wanted: () => boolean;
}

export type ShardGiven =
  | {
      readonly kind: 'released';
      readonly stored: StoredRecord;
      readonly successor: Incarnated | undefined;
      readonly carried: readonly CarriedActor[];
    }
  /** The successor may not hold the state: this node keeps the shard. */
  | { readonly kind: 'kept'; readonly carried: readonly CarriedActor[] }
  /** Somebody else wrote the record: this incarnation is gone, or another store was made the home of the shard. */
  | { readonly kind: 'refused'; readonly latest: StoredRecord | undefined; readonly carried: readonly CarriedActor[] }
  | { readonly kind: 'ended' };

/**
 * Gives a shard away: its turns end, the successor acknowledges their state, and only then the record is released to it. Until that write
 * the shard is this node's; what was sent before is void if it is not named by the record.
 */
export async function giveShard(gift: ShardGift): Promise<ShardGiven> {
  const { host, record, successor, drainMs, wanted, log } = gift;
  const carried = await host.closeShard(record.shard, { drainMs, successor: successor?.nodeId });
  if (!wanted()) return { kind: 'ended' };
  const transfer = gift.newTransferId();
  let sent = false;
  try {
    if (successor) sent = await send(gift, successor, transfer, carried);
  } catch (error) {
    if (!wanted()) return { kind: 'ended' };
    const fields = { shard: record.shard, successor: successor?.nodeId, err: error };
    log.warn(fields, 'handoff failed; this node keeps the shard and tries again');
    return { kind: 'kept', carried };
  }
  if (!wanted()) return { kind: 'ended' };
  return release(gift, sent ? transfer : undefined, carried);
}

function send(gift: ShardGift, to: Incarnated, transfer: string, carried: readonly CarriedActor[]): Promise<boolean> {
  const { signal, transfers, record } = gift;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(new PerkeyError('node.unreachable', 'the successor is gone'));
    if (signal.aborted) {
      abort();
      return;
    }
    signal.addEventListener('abort', abort, { once: true });
    transfers.send(to, record.shard, transfer, carried, record.epoch).then(resolve, reject);
  });
}

async function release(gift: ShardGift, transfer: string | undefined, carried: readonly CarriedActor[]): Promise<ShardGiven> {
  const { store, clock, record, revision, successor, wanted } = gift;
  const { nodeId, incarnation, shard, epoch, home } = record;
  const base = { nodeId, incarnation, shard, epoch, transfer, home };
  const next = successor && { nodeId: successor.nodeId, incarnation: successor.incarnation };
  const released: ShardRecord = next ? { ...base, state: 'releasing', successor: next } : { ...base, state: 'free' };
  const outcome = await settledWrite({ store, clock, key: shardKey(shard), value: JSON.stringify(released), revision, wanted });
  if (!wanted() || outcome.kind === 'in doubt') return { kind: 'ended' };
  if (outcome.kind === 'refused') return { ...outcome, carried };
  return { kind: 'released', stored: outcome.stored, successor, carried };
}
