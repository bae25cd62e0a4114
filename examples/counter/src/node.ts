import type { ResolvedOptions } from '@perkey/core';
import { EventLoop, run } from '@perkey/example-support';
import { followSupervisor, jetstream, nats, reportIncarnation } from '@perkey/nats';
import type { Logger } from 'pino';
import { joined, type MetricsAnswer, metricsQuestion } from './node-processes.ts';
import { startCounterNode } from './nodes.ts';
import { findRunningDemo } from './running-demo.ts';
import { nodeSettings } from './settings.ts';

const shardsDefault = 64;
const drainMs = 10_000;
const orphanLimitMs = 2_000;

/** `npm run node -- --id node-7`: one more node for a running demo. Also the program of each node under `--processes`. */
export function runNode(): Promise<never> {
  return run({
    usage: 'npm run node -- --id <name> [flags]',
    settings: nodeSettings,
    named: ({ id }) => ({ nodeId: id }),
    stopLimitMs: drainMs + 3_000,
    start,
  });
}

async function start(
  settings: ResolvedOptions<typeof nodeSettings>,
  log: Logger,
  running: AsyncDisposableStack,
): Promise<{ readonly ended: Promise<void> }> {
  followSupervisor();
  // A demo that was killed took its NATS server along: then there is nobody to take the counters.
  process.once('disconnect', () => setTimeout(() => process.exit(1), orphanLimitMs).unref());
  const { id: nodeId, cluster, host, metricsPort } = settings;
  const demo = settings.natsUrl === '' ? findRunningDemo(cluster) : { natsUrl: settings.natsUrl, shards: shardsDefault, durable: false };
  const shards = settings.shards || demo.shards;
  const transport = nats({ servers: demo.natsUrl });
  const store = settings.durable || demo.durable ? jetstream({ servers: demo.natsUrl }) : undefined;
  const node = await startCounterNode({ nodeId, cluster, shards, transport, store, drainMs, onIncarnation: reportIncarnation }, log);
  running.use(node);
  running.use(new EventLoop()).observe(node.metrics);
  process.send?.(joined);
  process.on('message', (question) => {
    if (question === metricsQuestion) process.send?.({ metrics: node.metrics.snapshot() } satisfies MetricsAnswer);
  });
  if (metricsPort > 0) {
    const { prometheusExporter } = await import('@perkey/prometheus');
    const exporter = prometheusExporter();
    exporter.add(() => node.metrics.snapshot(), { node: nodeId });
    running.use(await exporter.listen({ host, port: metricsPort }));
    log.info({ port: metricsPort }, 'prometheus metrics server starting');
  }
  return { ended: node.stopped };
}
