import { PerkeyError } from '../base/errors.ts';
import type { RecordStore, StoredRecord } from '../contract/record-store.ts';
import type { LinkEnvironment } from '../contract/transport.ts';
import { type ClusterRecord, clusterKey, parseCluster, protocolVersion } from './records.ts';

const retryMs = 200;

export interface ClusterFacts {
  readonly shards: number;
  /** As in `ClusterRecord`; undefined for a node without a store. */
  readonly store: string | undefined;
}

/**
 * Compares what this node was started with to what is fixed for the cluster; the first node that says something fixes it. Throws
 * `cluster.shards_mismatch`, `store.mismatch` or `protocol.unsupported` with both sides, and `store.unavailable` when the store did not answer in time.
 */
export async function checkCluster(store: RecordStore, facts: ClusterFacts, environment: LinkEnvironment): Promise<void> {
  const { clock, connectTimeoutMs, cluster } = environment;
  const until = clock.now() + connectTimeoutMs;
  for (;;) {
    let failure = new PerkeyError('store.unavailable', 'the record of the cluster is neither found nor taken');
    try {
      const found = await store.read(clusterKey);
      const record = found && compare(found.value, facts, cluster);
      if (record && (record.store !== undefined || facts.store === undefined)) return;
      const outcome = await write(store, facts, found);
      if (outcome.applied) return;
    } catch (error) {
      if (!(error instanceof PerkeyError) || error.code !== 'store.unavailable') throw error;
      failure = error;
    }
    if (clock.now() > until) throw failure;
    await new Promise<void>((resolve) => {
      clock.setTimer(retryMs, resolve);
    });
  }
}

function write(
  store: RecordStore,
  { shards, store: kept }: ClusterFacts,
  found: StoredRecord | undefined,
): ReturnType<RecordStore['write']> {
  return store.write(clusterKey, JSON.stringify({ shards, protocol: protocolVersion, store: kept }), found?.revision ?? 0);
}

function compare(value: string, { shards, store }: ClusterFacts, cluster: string): ClusterRecord {
  const record = parseCluster(value);
  if (!record) throw new PerkeyError('protocol.unsupported', `the record of cluster "${cluster}" cannot be read by this version`);
  if (record.protocol !== protocolVersion) {
    throw new PerkeyError('protocol.unsupported', `cluster "${cluster}" speaks protocol ${record.protocol}, this node ${protocolVersion}`, {
      details: { theirs: record.protocol, ours: protocolVersion },
    });
  }
  if (record.shards !== shards) {
    throw new PerkeyError(
      'cluster.shards_mismatch',
      `cluster "${cluster}" has ${record.shards} shards, this node was started with ${shards}; start it with shards: ${record.shards}`,
      {
        details: { cluster: record.shards, node: shards },
      },
    );
  }
  if (record.store !== undefined && store !== undefined && record.store !== store) {
    const text = `cluster "${cluster}" keeps its durable actors in ${describe(record.store)}, this node was started with ${describe(store)}; histories of one actor would be split, so start it with the same`;
    throw new PerkeyError('store.mismatch', text, { details: { cluster: record.store, node: store } });
  }
  return record;
}

function describe(store: string): string {
  return store === 'private' ? 'private stores, one for each node' : `the shared store "${store}"`;
}
