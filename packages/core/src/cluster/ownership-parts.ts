import type { Guard } from '../contract/calls.ts';
import type { ControlLink, DataLink, LinkEnvironment } from '../contract/transport.ts';
import { Announcer } from './announcer.ts';
import type { ClusterMetrics } from './cluster-metrics.ts';
import { Evictor, orphansOf } from './evictor.ts';
import type { Lease } from './lease.ts';
import type { Members } from './members.ts';
import { type Incarnated, type MemberRecord, outlivedOf, type ShardRecord } from './records.ts';
import { Relinks } from './relinks.ts';
import type { NodeSettings } from './settings.ts';
import { ShardHomes } from './shard-homes.ts';
import type { ShardHost } from './shard-host.ts';
import { ShardManager } from './shard-manager.ts';
import { aloneWithStore } from './store-twin.ts';
import type { ShardTable } from './shard-table.ts';
import { Transfers } from './transfers.ts';

/** The store that only one node can reach, with the shards of which it holds records. */
export interface PrivateStore {
  readonly id: string;
  readonly held: readonly number[];
}

export interface OwnershipOptions {
  readonly environment: LinkEnvironment;
  readonly settings: NodeSettings;
  readonly control: ControlLink;
  readonly link: DataLink;
  readonly self: Incarnated;
  readonly members: Members;
  readonly table: ShardTable;
  readonly guard: Guard;
  readonly host: ShardHost;
  readonly metrics: ClusterMetrics;
  readonly privateStore: PrivateStore | undefined;
  readonly lease: Lease<MemberRecord>;
  /** Since when this node's lease has held without a gap; `undefined` while it does not hold. */
  readonly leaseHeldSince: () => number | undefined;
  readonly onOpened: (record: ShardRecord, before: ShardRecord | undefined) => void;
}

/** What takes part in who owns which shard, on one incarnation. */
export interface OwnershipParts {
  readonly transfers: Transfers;
  readonly homes: ShardHomes;
  readonly manager: ShardManager;
  readonly announcer: Announcer;
  readonly evictor: Evictor;
  readonly relinks: Relinks;
}

export function ownershipParts(options: OwnershipOptions): OwnershipParts {
  const { environment, settings, control, link, self, members, table, guard, host, metrics, lease, privateStore, onOpened } = options;
  const { clock, random, log } = environment;
  // A member that has died is among the living until its lease has run out and somebody has seen it.
  const patienceMs = 2 * (settings.leaseMs + settings.marginMs);
  const transfers = new Transfers({
    ...{ clock, log, link, self, partTimeoutMs: settings.transferTimeoutMs, statesLost: metrics.statesLost },
  });
  const homes = new ShardHomes({
    ...{ self, store: control.shards, table, lease: guard, clock },
    ...{ privateId: privateStore?.id, held: privateStore?.held ?? [] },
    alone: privateStore && ((wanted) => aloneWithStore({ members, clock, self, storeId: privateStore.id, patienceMs }, wanted)),
  });
  const manager = new ShardManager({
    ...{ self, store: control.shards, table, members, lease: guard, host, homes },
    ...{ settings, clock, log, metrics, transfers, onOpened },
    newTransferId: () => random.hex(8),
  });
  const announcer = new Announcer({ clock, log, link, members, table });
  const evictor = new Evictor({
    ...{ store: control.members, members, clock, log, evictions: metrics.evictions, self: self.nodeId },
    patienceMs: settings.leaseMs + settings.marginMs,
    checkMs: settings.heartbeatMs / 2,
    leaseHeldSince: options.leaseHeldSince,
    owners: () => table.named(),
    orphans: () => orphansOf(table, members, self),
    onOutlived: (generation) => void lease.update({ outlived: Math.max(generation, outlivedOf(lease.body)) }),
  });
  const relinks = new Relinks({ clock, self, lease: options.lease, announcer });
  return { transfers, homes, manager, announcer, evictor, relinks };
}
