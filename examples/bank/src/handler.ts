import { type Node, type ResolvedOptions, startNode, type Store } from '@perkey/core';
import { account } from '@perkey/example-accounting';
import { libraryLog, run } from '@perkey/example-support';
import { allowOnly, closeHttpServer, createHttpServer, listen, Problem, sendProblem } from '@perkey/example-support/http';
import { jetstream, nats } from '@perkey/nats';
import { prometheusExporter } from '@perkey/prometheus';
import { sqlite } from '@perkey/sqlite';
import type { Logger } from 'pino';
import { handlerSettings } from './settings.ts';

type Settings = ResolvedOptions<typeof handlerSettings>;

const drainMs = 8_000;

/** `ROLE=handler`: hosts the accounts whose histories lie in its store. */
export function runHandler(args: readonly string[]): Promise<never> {
  const usage = 'npm run demo:bank:handler [-- flags]';
  return run({ usage, settings: handlerSettings, args, stopLimitMs: drainMs + 3_000, start });
}

async function start(settings: Settings, log: Logger, running: AsyncDisposableStack): Promise<{ readonly ended: Promise<void> }> {
  log.info('Command Handler Service Starting...');
  const { cluster, shards, nodeId, natsUrl: servers } = settings;
  const node = await startNode({
    ...{ cluster, shards, drainMs, ...(nodeId !== '' && { nodeId }) },
    ...{ actors: [account], transport: nats({ servers }), store: toldStore(settings, log), log: libraryLog(log) },
  });
  running.use(node);
  log.info({ nodeId: node.nodeId }, 'Registered command handlers');
  await serveHealth(settings, node, log, running);
  log.info('Listening for commands...');
  return { ended: node.stopped };
}

/** The store, with the steps of the start in the log: it is opened when the node is connected. */
function toldStore({ store: kind, dbPath: path, natsUrl: servers }: Settings, log: Logger): Store {
  const store = kind === 'sqlite' ? sqlite({ path }) : jetstream({ servers });
  return {
    name: store.name,
    async open(environment) {
      log.info('Connected to NATS');
      const open = await store.open(environment);
      log.info(kind === 'sqlite' ? { store: kind, path, storeId: open.privateId } : { store: kind }, 'Event store initialized');
      return open;
    },
  };
}

async function serveHealth({ host, healthPort }: Settings, node: Node, log: Logger, running: AsyncDisposableStack): Promise<void> {
  const exporter = prometheusExporter();
  exporter.add(() => node.metrics.snapshot(), { node: node.nodeId });
  const app = createHttpServer(log);
  app.get('/health', (_request, reply) => {
    const { state } = node;
    const checks = { node: { ok: state === 'active', saw: state }, shards: node.inspect(0)?.shardsOwned ?? 0 };
    if (checks.node.ok) return reply.send({ status: 'ok', checks });
    return sendProblem(
      reply,
      new Problem(503, 'http.unhealthy', 'no', 'The handler is not a member of its cluster.', { more: { checks } }),
    );
  });
  app.get('/metrics', (_request, reply) => {
    void reply.type(exporter.contentType);
    return exporter.text();
  });
  allowOnly(app, ['GET', 'HEAD'], ['/health', '/metrics']);
  running.defer(() => closeHttpServer(app));
  const port = await listen(app, host, healthPort, log);
  log.info({ port }, 'health and metrics');
}
