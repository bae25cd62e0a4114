import { memory, PerkeyError, type Transport } from '@perkey/core';
import { nats } from '@perkey/nats';
import type { FoundNats } from '@perkey/nats/dev';
import type { Logger } from 'pino';

/** What nodes and clients meet at. */
export interface Broker {
  /** For other processes, credentials included; undefined where everything stays in this process. */
  readonly url: string | undefined;
  /** For nodes and clients: each has connections of its own. */
  transport(): Transport;
  /** Ends the server if it was started here. */
  stop(): Promise<void>;
}

export interface BrokerOptions {
  readonly natsUrl: string;
  readonly embedded: boolean;
  /** Where a server that is started here keeps what JetStream holds, for later runs. Default: it is gone with the server. */
  readonly storeDir?: string | undefined;
}

/** Finds or starts a NATS server; without any, the requests stay in this process. Rejects where `natsUrl` is set and nothing answers there. */
export async function openBroker(options: BrokerOptions, log: Logger): Promise<Broker> {
  if (options.embedded) return embedded(log, 'asked for by a setting');
  try {
    const found = await serverOf(options);
    log.info({ url: withoutCredentials(found.url), source: found.source, version: found.info.version }, 'NATS ready');
    const transport = nats({ servers: found.url });
    return { url: found.url, transport: () => transport, stop: () => found.stop() };
  } catch (error) {
    if (error instanceof PerkeyError && error.code === 'nats_server.not_found') return embedded(log, error.message);
    throw error;
  }
}

type Server = Pick<FoundNats, 'url' | 'info' | 'stop'> & { readonly source: string };

async function serverOf({ natsUrl, storeDir }: BrokerOptions): Promise<Server> {
  const { findNats, startNatsServer } = await import('@perkey/nats/dev');
  if (natsUrl !== '' || storeDir === undefined) return findNats({ env: { ...process.env, NATS_URL: natsUrl } });
  const server = await startNatsServer({ storeDir });
  return { url: server.url, info: server.info, source: server.binary, stop: () => server.stop() };
}

function embedded(log: Logger, reason: string): Broker {
  const transport = memory();
  log.warn(
    { reason },
    'no NATS: requests stay in this process. Not shown so: nodes in processes of their own, joining, the death of a node, and the speed of the wire',
  );
  log.info({ url: 'memory', source: 'embedded' }, 'NATS ready');
  return { url: undefined, transport: () => transport, stop: () => Promise.resolve() };
}

export function withoutCredentials(url: string): string {
  return url.replace(/[^/,@]*@/g, '');
}
