import { natsServerFromArchive, startNatsServer } from '@perkey/nats/dev';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startNatsCluster } from '../../test/support/nats-cluster.ts';

/** A server, or several as one, that a bench of the store runs against. */
export interface BenchServers extends AsyncDisposable {
  readonly name: string;
  readonly urls: string[];
  readonly replicas: number;
}

export async function oneServer(): Promise<BenchServers> {
  const server = await startNatsServer();
  const name = `nats-server ${server.info.version}`;
  return { name, urls: [server.url], replicas: 1, [Symbol.asyncDispose]: () => server.stop() };
}

export async function threeServers(): Promise<BenchServers> {
  const cluster = await startNatsCluster();
  const name = `three of nats-server ${cluster.servers[0]?.info.version}, replicas 3`;
  return { name, urls: cluster.urls, replicas: 3, [Symbol.asyncDispose]: () => cluster.stop() };
}

/** Every acknowledged append is on the disk. The option came with server 2.10. */
export async function syncingServer(): Promise<BenchServers> {
  const folder = await mkdtemp(join(tmpdir(), 'perkey-bench-'));
  const binary = await natsServerFromArchive({ version: 'newest' });
  const config = `jetstream { store_dir: ${JSON.stringify(folder)}, sync_interval: always }`;
  const server = await startNatsServer({ binary, config });
  return {
    name: `nats-server ${server.info.version}, sync_interval: always`,
    urls: [server.url],
    replicas: 1,
    [Symbol.asyncDispose]: async () => {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
