import { startNatsServer, type NatsServer } from '@perkey/nats/dev';
import { HoldProxy } from './hold-proxy.ts';
import { freePorts, NatsCluster } from './nats-cluster.ts';

interface Way {
  readonly from: number;
  readonly to: number;
  readonly proxy: HoldProxy;
}

/**
 * Three servers that reach each other through proxies only, a way of its own for each pair and direction, so that one can be cut off from the
 * others while all of them stay reachable for clients.
 */
export class SplitCluster implements AsyncDisposable {
  readonly cluster: NatsCluster;
  readonly #ways: readonly Way[];

  private constructor(cluster: NatsCluster, ways: readonly Way[]) {
    this.cluster = cluster;
    this.#ways = ways;
  }

  static async start(binary?: string): Promise<SplitCluster> {
    const size = 3;
    const ports = await freePorts(size);
    const ways = await Promise.all(
      ports.flatMap((port, to) =>
        ports.map(async (_, from) => (from === to ? [] : [{ from, to, proxy: await HoldProxy.start(`nats://127.0.0.1:${port}`) }])),
      ),
    ).then((found) => found.flat());
    const [unused] = await freePorts(1);
    const starts = ports.map((port, index) => {
      const routes = ways.filter(({ from }) => from === index).map(({ proxy }) => `"${proxy.url}"`);
      // What servers tell each other of a third one leads nowhere, so that they reach it by their own way only.
      const config = `cluster { name: "test", listen: "127.0.0.1:${port}", advertise: "127.0.0.1:${unused}", routes: [${routes.join(', ')}] }`;
      return startNatsServer({ binary, config, name: `n${index}` });
    });
    const results = await Promise.allSettled(starts);
    const servers = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const split = new SplitCluster(new NatsCluster(servers), ways);
    try {
      if (servers.length < size) throw new Error('not all servers started');
      await split.cluster.metaLeader(30_000, size);
    } catch (error) {
      await split.stop();
      throw error;
    }
    return split;
  }

  /** From now on nothing passes between this server and the others; nobody hears that a connection was lost. */
  cutOff(server: NatsServer): void {
    for (const { proxy } of this.#waysOf(server)) proxy.hold();
  }

  /** Everything that was kept back arrives. */
  heal(): void {
    for (const { proxy } of this.#ways) proxy.release();
  }

  #waysOf(server: NatsServer): readonly Way[] {
    const index = this.cluster.servers.indexOf(server);
    return this.#ways.filter(({ from, to }) => from === index || to === index);
  }

  async stop(): Promise<void> {
    await this.cluster.stop();
    await Promise.all(this.#ways.map(({ proxy }) => proxy.stop()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
