import { type Client, connect, type ClientOptions } from '@perkey/core';
import { shardOf } from '@perkey/core/internal';
import { nats, type NatsOptions } from '@perkey/nats';
import { startNatsServer } from '@perkey/nats/dev';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HoldProxy } from '../../support/hold-proxy.ts';
import { violations } from './history-check.ts';
import type { Load } from './load.ts';
import type { NodeProgramSettings } from './node-program.ts';
import { NodeProcess } from './node-process.ts';
import { Observer } from './observer.ts';
import type { Outcome } from './outcome.ts';
import { readTrace, type Turn } from './trace.ts';

type Server = Awaited<ReturnType<typeof startNatsServer>>;

export interface WorldOptions {
  /** The program of the server; default: the system's. */
  readonly binary?: string;
  /** Servers that are there already, in place of an own one. */
  readonly servers?: readonly string[];
  readonly nodes: readonly string[];
  /** Those of the nodes that reach the server through a proxy of their own. */
  readonly proxied?: readonly string[];
  readonly supervised?: boolean;
  readonly nats?: NatsOptions;
  readonly options?: NodeProgramSettings['options'];
}

const shardCount = 256;

/** A server, a cluster of node processes, an observer of its records, and callers. */
export class World implements AsyncDisposable {
  readonly cluster: string = `faults-${randomBytes(4).toString('hex')}`;
  readonly proxies = new Map<string, HoldProxy>();
  readonly #options: WorldOptions;
  readonly #stack = new AsyncDisposableStack();
  readonly #nodes = new Map<string, NodeProcess>();
  readonly #traces: string[] = [];
  #server: Server | undefined;
  #observer!: Observer;
  #folder = '';

  private constructor(options: WorldOptions) {
    this.#options = options;
  }

  /** Resolves when the nodes have settled. */
  static async start(options: WorldOptions): Promise<World> {
    const world = new World(options);
    try {
      await world.#open();
    } catch (error) {
      await world[Symbol.asyncDispose]();
      throw error;
    }
    return world;
  }

  /** Its own server; there is none where others were given. */
  get server(): Server {
    if (this.#server === undefined) throw new Error('this world has no server of its own');
    return this.#server;
  }

  get observer(): Observer {
    return this.#observer;
  }

  get nodes(): readonly NodeProcess[] {
    return [...this.#nodes.values()];
  }

  /** The latest process under this id. */
  node(nodeId: string): NodeProcess {
    const node = this.#nodes.get(nodeId);
    if (node === undefined) throw new Error(`there is no node ${nodeId}`);
    return node;
  }

  proxy(nodeId: string): HoldProxy {
    const proxy = this.proxies.get(nodeId);
    if (proxy === undefined) throw new Error(`node ${nodeId} has no proxy`);
    return proxy;
  }

  /** Starts another process, which may be a second one under the same id. */
  async spawn(nodeId: string, options: NodeProgramSettings['options'] = {}): Promise<NodeProcess> {
    const traceFile = join(this.#folder, `${nodeId}-${this.#traces.length}.jsonl`);
    this.#traces.push(traceFile);
    const proxy = this.proxies.get(nodeId);
    const settings: NodeProgramSettings = {
      ...{ cluster: this.cluster, nodeId, traceFile },
      nats: { ...this.#natsOptions(), ...(proxy && { servers: proxy.url }) },
      options: { ...this.#options.options, ...options },
    };
    const node = this.#options.supervised === true ? await NodeProcess.supervised(settings) : NodeProcess.spawn(settings);
    this.#stack.use(node);
    this.#nodes.set(nodeId, node);
    return node;
  }

  async client(options: Partial<ClientOptions> & { readonly through?: HoldProxy } = {}): Promise<Client> {
    const { through, ...rest } = options;
    const transport = nats({ ...this.#natsOptions(), ...(through && { servers: through.url }) });
    return this.#stack.use(await connect({ cluster: this.cluster, transport, ...rest }));
  }

  async proxyTo(target: string = this.server.url): Promise<HoldProxy> {
    return this.#stack.use(await HoldProxy.start(target));
  }

  /** Keys that these nodes own now, as many of each. */
  keysOf(nodeIds: readonly string[], each: number): string[] {
    return nodeIds.flatMap((nodeId) => {
      const found: string[] = [];
      for (let i = 0; found.length < each; i += 1) {
        const key = `key-${i}`;
        if (this.ownerOf(key) === nodeId) found.push(key);
        if (i > 100_000) throw new Error(`node ${nodeId} owns no shards`);
      }
      return found;
    });
  }

  ownerOf(key: string): string | undefined {
    return this.#observer.shards.get(shardOf(key, shardCount))?.nodeId;
  }

  /** Every effect so far, by all processes that there were. */
  turns(): Turn[] {
    return this.#traces.flatMap((file) => readTrace(file).filter((line) => line.is === 'turn'));
  }

  /** What in the whole history is against the promise, line by line, the first twenty cases. Every trace counts, so every caller's load must be given. */
  violations(...loads: readonly Load[]): string[] {
    const lines = this.#traces.flatMap(readTrace);
    const local: readonly Outcome[] = lines.filter((line) => line.is === 'outcome');
    return violations({
      outcomes: [...loads.flatMap((load) => load.outcomes), ...local],
      turns: lines.filter((line) => line.is === 'turn'),
      shardOf: (key) => shardOf(key, shardCount),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  #natsOptions(): NatsOptions {
    return { servers: this.#options.servers ?? this.server.url, ...this.#options.nats };
  }

  async #open(): Promise<void> {
    const { binary, servers, nodes, proxied = [] } = this.#options;
    this.#folder = await mkdtemp(join(tmpdir(), 'perkey-faults-'));
    this.#stack.defer(() => rm(this.#folder, { recursive: true, force: true }));
    if (servers === undefined) this.#server = this.#stack.use(await startNatsServer({ binary }));
    for (const nodeId of proxied) this.proxies.set(nodeId, await this.proxyTo());
    this.#observer = this.#stack.use(await Observer.start(this.cluster, this.#natsOptions(), shardCount));
    const started = await Promise.all(nodes.map((nodeId) => this.spawn(nodeId)));
    await Promise.all(started.map((node) => node.ready()));
    await this.#observer.settled(nodes);
  }
}
