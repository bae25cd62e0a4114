import { memoryStore, type ResolvedOptions, type Store } from '@perkey/core';
import { type Broker, openBroker } from '@perkey/example-support';
import { jetstream } from '@perkey/nats';
import { clusterStreams, removeCluster } from '@perkey/nats/dev';
import { sqlite } from '@perkey/sqlite';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { accountingSettings } from './settings.ts';

export const cluster = 'accounting';

type Settings = ResolvedOptions<typeof accountingSettings>;

/** Where a run meets and keeps what it stores. */
export interface Place {
  readonly broker: Broker;
  /** For every start of a node under this name. */
  storeOf(nodeId: string): Store;
}

const folderDefault = join(import.meta.dirname, '../../../.cache/accounting');

/** Puts on `running` what removes everything again, unless it is to be kept. Rejects, with what to do, where this run cannot keep to its settings. */
export async function openPlace(settings: Settings, log: Logger, running: AsyncDisposableStack): Promise<Place> {
  const { store, keep, natsUrl } = settings;
  if (keep && store === 'memory') throw new Error('--keep: the store memory ends with this process; take --store jetstream or sqlite');
  const folder = keep ? await keptFolder(join(settings.folder || folderDefault, store), running) : await passingFolder(running);
  const isOwn = natsUrl === '';
  const storeDir = keep && isOwn && store === 'jetstream' ? join(folder, 'nats') : undefined;
  const broker = await openBroker({ natsUrl, embedded: false, storeDir }, log);
  running.defer(() => broker.stop());
  const { url } = broker;
  if (!isOwn && url !== undefined && !keep) await leaveNothing(url, running);
  if (keep) log.info(storeDir === undefined && store === 'jetstream' ? { cluster } : { folder }, 'the history is kept');
  return { broker, storeOf: stores(store, folder, url) };
}

function stores(store: Settings['store'], folder: string, natsUrl: string | undefined): Place['storeOf'] {
  if (store === 'sqlite') return (nodeId) => sqlite({ path: join(folder, `${nodeId}.db`) });
  if (store === 'jetstream' && natsUrl === undefined) throw new Error('--store jetstream needs NATS; --store sqlite and memory do not');
  const shared = store === 'memory' ? memoryStore() : jetstream({ servers: natsUrl });
  return () => shared;
}

async function passingFolder(running: AsyncDisposableStack): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'perkey-accounting-'));
  running.defer(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** For one run at a time. */
async function keptFolder(folder: string, running: AsyncDisposableStack): Promise<string> {
  await mkdir(folder, { recursive: true });
  const lock = join(folder, 'running.pid');
  const holder = Number(await readFile(lock, 'utf8').catch(() => '0'));
  if (holder > 0 && isAlive(holder)) throw new Error(`another run (process ${holder}) goes on with the history in ${folder}`);
  await writeFile(lock, String(process.pid));
  running.defer(() => rm(lock, { force: true }));
  return folder;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** On a server that goes on: what this run makes there is removed, and what others left is not touched. */
async function leaveNothing(servers: string, running: AsyncDisposableStack): Promise<void> {
  const found = await clusterStreams({ servers, cluster });
  if (found.length > 0) {
    throw new Error(`the NATS server holds a history of cluster ${cluster} (${found.join(', ')}); go on with it with --keep`);
  }
  running.defer(() => removeCluster({ servers, cluster }));
}
