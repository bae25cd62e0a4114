import type { Counter, Histogram, Metrics } from '../base/metrics.ts';

/** The instruments of cluster/; every one of them is set by the code that holds it. */
export interface ClusterMetrics {
  readonly epochChanges: Counter;
  readonly fenceRejections: Counter;
  readonly handoffSeconds: Histogram;
  readonly evictions: Counter;
  readonly leaseLapses: Counter;
  readonly statesLost: Counter;
}

const handoffBuckets = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];

export function clusterMetrics(metrics: Metrics): ClusterMetrics {
  return {
    epochChanges: metrics.counter('perkey_cluster_epoch_changes_total', 'Shards that this node began to own.'),
    fenceRejections: metrics.counter(
      'perkey_cluster_fence_rejections_total',
      'Times this node found that a shard it held had another owner.',
    ),
    handoffSeconds: metrics.histogram(
      'perkey_cluster_handoff_duration_seconds',
      'From the end of admission for a shard to the claim of its successor.',
      handoffBuckets,
    ),
    evictions: metrics.counter('perkey_cluster_evictions_total', 'Members that this node marked gone because they stopped renewing.'),
    statesLost: metrics.counter('perkey_cluster_states_lost_total', 'Actors whose state could not travel with their shard.'),
    leaseLapses: metrics.counter('perkey_cluster_lease_lapses_total', 'Times the lease of this node ran out before it was renewed.'),
  };
}
