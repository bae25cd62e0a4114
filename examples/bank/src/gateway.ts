import { connect, type ResolvedOptions } from '@perkey/core';
import { libraryLog, run } from '@perkey/example-support';
import { closeHttpServer, createHttpServer, listen } from '@perkey/example-support/http';
import { nats } from '@perkey/nats';
import { prometheusExporter } from '@perkey/prometheus';
import type { Logger } from 'pino';
import { accountProblem } from './account-problem.ts';
import { addRoutes } from './routes.ts';
import { gatewaySettings } from './settings.ts';

const drainMs = 8_000;

/** `ROLE=sender`: an HTTP server that sends commands and knows the contract of accounts, and nothing of what is behind it. */
export function runGateway(args: readonly string[]): Promise<never> {
  const usage = 'npm run demo:bank:gateway [-- flags]';
  return run({ usage, settings: gatewaySettings, args, stopLimitMs: drainMs + 3_000, start });
}

async function start(settings: ResolvedOptions<typeof gatewaySettings>, log: Logger, running: AsyncDisposableStack): Promise<{}> {
  log.info('API Gateway Starting...');
  const { cluster, natsUrl: servers, host } = settings;
  // All gateways have one name: a repeat of a request may come to another of them.
  const client = await connect({ cluster, transport: nats({ servers }), callerName: 'bank-gateway', log: libraryLog(log) });
  running.use(client);
  log.info('Connected to NATS');
  log.info('Thin client (no database) - Role: CommandSender');
  const exporter = prometheusExporter();
  exporter.add(() => client.metrics.snapshot(), { node: 'gateway' });
  const app = createHttpServer(log, accountProblem);
  addRoutes(app, client, exporter);
  running.defer(() => closeHttpServer(app, drainMs));
  const port = await listen(app, host, settings.port, log);
  log.info({ port }, `HTTP Server listening on :${port}`);
  return {};
}
