import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Guard } from '../contract/calls.ts';
import type { RecordStore } from '../contract/record-store.ts';
import type { ClusterMetrics } from './cluster-metrics.ts';
import type { Members } from './members.ts';
import type { Incarnated, ShardRecord } from './records.ts';
import type { ShardHomes } from './shard-homes.ts';
import type { ShardHost, ShardTransfers } from './shard-host.ts';
import type { ShardTable } from './shard-table.ts';

export interface ShardManagerOptions {
  readonly self: Incarnated;
  readonly store: RecordStore;
  readonly table: ShardTable;
  readonly members: Members;
  readonly lease: Guard;
  readonly host: ShardHost;
  readonly transfers: ShardTransfers;
  readonly homes: ShardHomes;
  readonly newTransferId: () => string;
  readonly settings: {
    readonly drainMs: number;
    readonly handoffsMax: number;
    readonly claimsMax: number;
    readonly rebalanceDelayMs: number;
  };
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: ClusterMetrics;
  /** This node now owns the shard and serves it. */
  readonly onOpened: (record: ShardRecord, before: ShardRecord | undefined) => void;
}
