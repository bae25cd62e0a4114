import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { startNatsServer, type NatsServer } from '@perkey/nats/dev';

export interface NatsClusterSettings {
  /** Default 3. */
  readonly size?: number;
  /** Path of the program; default as in `startNatsServer`. */
  readonly binary?: string;
  /** Appended to the configuration of every server. */
  readonly config?: string;
  /** Until JetStream has a leader that all servers know. Default 30,000. */
  readonly readyTimeoutMs?: number;
}

interface RaftGroup {
  readonly leader?: string;
  readonly cluster_size?: number;
  readonly replicas?: readonly { readonly current?: boolean; readonly offline?: boolean }[];
}

interface JetStreamPage {
  readonly meta_cluster?: RaftGroup;
  readonly account_details?: readonly { readonly stream_detail?: readonly { readonly name: string; readonly cluster?: RaftGroup }[] }[];
}

const pollMs = 25;
const pageTimeoutMs = 500;
/** Attempts with other ports when one of those for the routes was taken between its choice and its use. */
const portAttempts = 5;

/** Several servers as one JetStream cluster on 127.0.0.1. */
export class NatsCluster implements AsyncDisposable {
  readonly servers: readonly NatsServer[];

  constructor(servers: readonly NatsServer[]) {
    this.servers = servers;
  }

  /** For the client's `servers`, those that do not run included. */
  get urls(): string[] {
    return this.servers.map((server) => server.url);
  }

  /**
   * Waits until the servers that run agree on a leader of JetStream's metadata that is among them, and until that leader has `members`
   * (default: as many as run) live and current servers in its group, itself included.
   */
  metaLeader(timeoutMs = 30_000, members = this.servers.filter((server) => server.running).length): Promise<NatsServer> {
    return until(timeoutMs, 'JetStream has no leader', async () => {
      const running = this.servers.filter((server) => server.running);
      const groups = await Promise.all(running.map(async (server) => (await readPage(server, ''))?.meta_cluster));
      const leader = running.find((server) => server.name === groups[0]?.leader);
      if (leader === undefined || groups.some((group) => group?.leader !== leader.name)) return undefined;
      const followers = groups[running.indexOf(leader)]?.replicas?.filter(
        (replica) => replica.current === true && replica.offline !== true,
      );
      return (followers?.length ?? 0) + 1 >= members ? leader : undefined;
    });
  }

  /**
   * The server that leads this stream by its own word; a server that was killed or does not answer is none. Waits for an election.
   * A server that was cut off may still think that it leads: the first one that says so is taken.
   */
  leaderOf(natsStream: string, timeoutMs = 30_000): Promise<NatsServer> {
    return until(timeoutMs, `stream ${natsStream} has no leader`, async () => {
      for (const server of this.servers.filter((candidate) => candidate.running)) {
        const page = await readPage(server, '?accounts=true&streams=true');
        const streams = page?.account_details?.flatMap((account) => account.stream_detail ?? []) ?? [];
        if (streams.some((stream) => stream.name === natsStream && stream.cluster?.leader === server.name)) return server;
      }
      return undefined;
    });
  }

  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.stop()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** Starts the servers and waits until JetStream can place streams on all of them. */
export async function startNatsCluster(settings: NatsClusterSettings = {}): Promise<NatsCluster> {
  const size = settings.size ?? 3;
  const readyTimeoutMs = settings.readyTimeoutMs ?? 30_000;
  for (let attempt = 1; ; attempt += 1) {
    const cluster = await tryStart(size, settings);
    if (!(cluster instanceof NatsCluster)) {
      const anotherTry = String(cluster.error).includes('is taken') && attempt < portAttempts;
      if (!anotherTry) throw cluster.error;
      continue;
    }
    try {
      await cluster.metaLeader(readyTimeoutMs, size);
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }
}

/** The ports of the routes must be known before any server starts, since each names the others'; so another process may take one first. */
async function tryStart(size: number, settings: NatsClusterSettings): Promise<NatsCluster | { error: unknown }> {
  const routePorts = await freePorts(size);
  const starts = routePorts.map((port, index) =>
    startNatsServer({
      binary: settings.binary,
      config: settings.config,
      name: `n${index}`,
      cluster: { name: 'test', port, routePorts },
    }),
  );
  const results = await Promise.allSettled(starts);
  const servers = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const failure = results.find((result) => result.status === 'rejected');
  if (failure === undefined) return new NatsCluster(servers);
  await new NatsCluster(servers).stop();
  return { error: failure.reason };
}

export async function freePorts(count: number): Promise<number[]> {
  const listeners = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(listeners.map((listener) => once(listener, 'listening')));
  const ports = listeners.map((listener) => (listener.address() as AddressInfo).port);
  await Promise.all(listeners.map((listener) => once(listener.close(), 'close')));
  return ports;
}

/** Undefined when the server does not answer in time: it may be frozen, or just going. */
async function readPage(server: NatsServer, query: string): Promise<JetStreamPage | undefined> {
  try {
    const answer = await fetch(`${server.monitoringUrl}/jsz${query}`, { signal: AbortSignal.timeout(pageTimeoutMs) });
    return (await answer.json()) as JetStreamPage;
  } catch {
    return undefined;
  }
}

async function until<T>(timeoutMs: number, problem: string, look: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`${problem} after ${timeoutMs} ms`);
    await delay(pollMs);
  }
}
