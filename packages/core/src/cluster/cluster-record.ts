import { PerkeyError } from '../base/errors.ts';
import type { RecordStore } from '../contract/record-store.ts';
import type { LinkEnvironment } from '../contract/transport.ts';
import { clusterKey, parseCluster, protocolVersion } from './records.ts';

const retryMs = 200;

/**
 * Compares this node's number of shards with the cluster's; the first node of a cluster writes it. Throws `cluster.shards_mismatch` or
 * `protocol.unsupported` with both numbers, and `store.unavailable` when the store did not answer in time.
 */
export async function checkCluster(store: RecordStore, shards: number, environment: LinkEnvironment): Promise<void> {
  const { clock, connectTimeoutMs, cluster } = environment;
  const until = clock.now() + connectTimeoutMs;
  for (;;) {
    let failure = new PerkeyError('store.unavailable', 'the record of the cluster is neither found nor taken');
    try {
      const found = await store.read(clusterKey);
      if (found) return compare(found.value, shards, cluster);
      const outcome = await store.write(clusterKey, JSON.stringify({ shards, protocol: protocolVersion }), 0);
      if (outcome.applied) return undefined;
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

function compare(value: string, shards: number, cluster: string): void {
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
}
