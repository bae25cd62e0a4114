import { connect, type ResolvedOptions } from '@perkey/core';
import { libraryLog, run } from '@perkey/example-support';
import type { Logger } from 'pino';
import { AccountingNodes } from './nodes.ts';
import { cluster, openPlace } from './place.ts';
import { runScenario } from './scenario.ts';
import { accountingSettings } from './settings.ts';

/** `npm run demo:accounting`: three nodes, three accounts, and a restart of every node in between. */
export function runAccounting(): Promise<never> {
  return run({ usage: 'npm run demo:accounting [-- flags]', settings: accountingSettings, stopLimitMs: 6_000, start });
}

async function start(
  settings: ResolvedOptions<typeof accountingSettings>,
  log: Logger,
  running: AsyncDisposableStack,
): Promise<{ readonly ended: Promise<string> }> {
  const place = await openPlace(settings, log, running);
  const nodes = running.use(new AccountingNodes(place, log));
  await nodes.start();
  const transport = place.broker.transport();
  const client = running.use(await connect({ cluster, transport, callerName: 'accounting', log: libraryLog(log) }));
  return { ended: runScenario(client, nodes, log) };
}
