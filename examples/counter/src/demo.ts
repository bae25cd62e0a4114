import { type Client, connect, memoryStore, type ResolvedOptions, type Store } from '@perkey/core';
import { type Broker, EventLoop, libraryLog, openBroker, run } from '@perkey/example-support';
import { closeHttpServer, createHttpServer, listen } from '@perkey/example-support/http';
import { jetstream } from '@perkey/nats';
import { type PrometheusExporter, prometheusExporter } from '@perkey/prometheus';
import { flushCompileCache } from 'node:module';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { NodeProcess } from './node-processes.ts';
import { startCounterNode } from './nodes.ts';
import { addRoutes, examples } from './routes.ts';
import { announce } from './running-demo.ts';
import { counterProblem } from './counter-problem.ts';
import { demoSettings } from './settings.ts';

type Settings = ResolvedOptions<typeof demoSettings>;

/** `npm run demo`: NATS, the nodes, and an HTTP server that reaches the counters as any client does. */
export function runDemo(): Promise<never> {
  return run({ usage: 'npm run demo [-- flags]', settings: demoSettings, stopLimitMs: 4_500, start });
}

async function start(settings: Settings, log: Logger, running: AsyncDisposableStack): Promise<{}> {
  const { cluster, shards, host } = settings;
  const exporter = prometheusExporter();
  const metricsServer = running.use(await exporter.listen({ host, port: settings.metricsPort }));
  log.info({ port: metricsServer.port }, 'prometheus metrics server starting');

  const broker = await openBroker(settings, log);
  running.defer(() => broker.stop());
  if (settings.processes) await startProcesses(settings, broker, exporter, log, running);
  else await startNodes(settings, broker, exporter, log, running);
  await announce(cluster, { pid: process.pid, shards, durable: settings.durable, natsUrl: broker.url ?? null });

  const client = running.use(await connect({ cluster, transport: broker.transport(), callerName: 'counter-http', log: libraryLog(log) }));
  exporter.add(() => client.metrics.snapshot(), { node: 'http' });
  const app = createHttpServer(log, counterProblem);
  addRoutes(app, client);
  running.defer(() => closeHttpServer(app));
  const port = await listen(app, host, settings.httpPort, log);
  log.info({ port }, 'HTTP server starting');

  await allShardsOwned(client, shards);
  log.info('=== Counter Demo Ready ===');
  for (const example of examples(port)) log.info(`try: ${example}`);
  return {};
}

async function startNodes(
  { nodes, cluster, shards, durable }: Settings,
  broker: Broker,
  exporter: PrometheusExporter,
  log: Logger,
  running: AsyncDisposableStack,
): Promise<void> {
  const eventLoop = running.use(new EventLoop());
  const store = durable ? storeOf(broker) : undefined;
  const starting = nodeIds(nodes).map(async (nodeId) => {
    // All stop at once, so that none hands its counters to one that stops next.
    const node = await startCounterNode({ nodeId, cluster, shards, transport: broker.transport(), store, drainMs: 2_500 }, log);
    eventLoop.observe(node.metrics);
    exporter.add(() => node.metrics.snapshot(), { node: nodeId });
    return node;
  });
  running.defer(() => stopAll(starting));
  await Promise.all(starting);
}

async function startProcesses(
  { nodes, cluster, shards, logLevel, durable, supervisor: supervised }: Settings,
  { url: natsUrl }: Broker,
  exporter: PrometheusExporter,
  log: Logger,
  running: AsyncDisposableStack,
): Promise<void> {
  if (natsUrl === undefined) throw new Error('--processes needs NATS: without it requests cannot leave this process');
  // What this process has compiled the others need not.
  flushCompileCache();
  const processes = nodeIds(nodes).map(
    (nodeId) => new NodeProcess({ nodeId, cluster, shards, natsUrl, logLevel, durable, supervised }, log),
  );
  process.once('exit', () => processes.forEach((node) => node.kill()));
  running.defer(() => stopAll(processes));
  for (const [index, node] of processes.entries()) exporter.add(() => node.metrics(), { node: `node-${index}` });
  await Promise.all(processes.map((node) => node.start()));
}

/** Without NATS the counts outlive the nodes, not this process. */
function storeOf({ url: servers }: Broker): Store {
  return servers === undefined ? memoryStore() : jetstream({ servers });
}

function nodeIds(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `node-${index}`);
}

async function stopAll(starting: readonly (AsyncDisposable | Promise<AsyncDisposable>)[]): Promise<void> {
  const stops = starting.map(async (node) => (await node)[Symbol.asyncDispose]());
  await Promise.allSettled(stops);
}

/** Processes take a moment to join. Rejects when the shards have no owners within 30 s. */
async function allShardsOwned(client: Client, shards: number): Promise<void> {
  for (const giveUpAt = performance.now() + 30_000; client.reachability().reachable < shards; await delay(10)) {
    if (performance.now() > giveUpAt) throw new Error('the nodes did not take their shards within 30 s; the log says more');
  }
}
