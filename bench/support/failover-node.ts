import { startNode } from '@perkey/core';
import { nats, reportIncarnation } from '@perkey/nats';
import { flushCompileCache } from 'node:module';
import { counter } from './failover-counter.ts';
import { serve } from './peer.ts';
import { SampledMetrics } from './sampled-metrics.ts';

/** One node of `failover`. SIGTERM ends it gracefully; how long each shard took it tells before it ends. */
const [servers = '', nodeId = ''] = process.argv.slice(2);
const metrics = new SampledMetrics('perkey_cluster_handoff_duration_seconds');
const node = await startNode({
  cluster: 'bench',
  nodeId,
  transport: nats({ servers }),
  actors: [counter],
  metrics,
  onIncarnation: reportIncarnation,
});

async function leave(): Promise<void> {
  await node.stop();
  process.send?.({ handoffsMs: metrics.take().map((seconds) => seconds * 1_000) }, () => process.exit(0));
}

process.once('SIGTERM', () => void leave());
serve({ inspect: () => ({ shardsOwned: node.inspect(0)?.shardsOwned ?? 0, members: node.inspect(0)?.members ?? [] }) }, () => node.stop());
// One that is killed keeps nothing for those that come after it.
flushCompileCache();
