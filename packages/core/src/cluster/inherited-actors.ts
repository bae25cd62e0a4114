import type { Logger } from '../base/log.ts';
import type { CarriedActor } from '../contract/calls.ts';
import type { ShardRecord } from './records.ts';
import type { ShardTransfers } from './shard-host.ts';

/** The state that comes with a shard: received from the node that released it, or kept by this node when its successor vanished. */
export function inheritedActors(
  record: ShardRecord,
  kept: readonly CarriedActor[],
  { transfers, log }: { readonly transfers: ShardTransfers; readonly log: Logger },
): readonly CarriedActor[] {
  if (!record.transfer) return kept;
  let carried: readonly CarriedActor[] | undefined;
  let err: unknown;
  try {
    carried = transfers.take(record.transfer);
  } catch (error) {
    err = error;
  }
  if (!carried) log.error({ shard: record.shard, err }, 'the state of a released shard did not arrive; its volatile actors start anew');
  return carried ?? kept;
}
