import { type Client, connect, type ClientOptions } from '@perkey/core';
import { storeEnvironment } from '@perkey/core/testing';
import { shardOf } from '@perkey/core/internal';
import { jetstream, type JetStreamOptions, nats, type NatsOptions } from '@perkey/nats';
import { type NatsServer, startNatsServer } from '@perkey/nats/dev';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type NatsCluster, startNatsCluster } from '../../support/nats-cluster.ts';
import { shardCount } from './judge.ts';
import type { Load } from './load.ts';
import { CannotRun } from './cannot-run.ts';
import { LoopDisk } from './loop-disk.ts';
import { syncOfStore } from './mutations.ts';
import { Namespaces } from './namespaces.ts';
import { type Launch, NodeProcess } from './node-process.ts';
import type { NodeProgramSettings } from './node-program.ts';
import { Observer } from './observer.ts';
import type { Outcome } from './outcome.ts';
import { ProxyReach, type Reach, type Slowness, type Way } from './reach.ts';
import { Starved } from './starved.ts';
import { readStored, type Stored } from './stored.ts';
import { type TraceLine, TraceReader, type Turn } from './trace.ts';

export interface WorldOptions {
  /** The program of the servers; default: the system's. */
  readonly binary?: string | undefined;
  /** How many servers hold each bucket: 1 server, or 3 as a cluster. Default 1. */
  readonly replicas?: number;
  /** Appended to the configuration of the server. */
  readonly serverConfig?: string;
  /** The server stores on a disk of its own of so many MB, which can be filled. */
  readonly diskMb?: number;
  /** The server forces each record to its disk before it acknowledges it; 2.10 or newer. */
  readonly syncAlways?: boolean;
  readonly nodes: readonly string[];
  /** Those of the nodes that reach the server by a way of their own, with which something can be done. */
  readonly apart?: readonly string[];
  /** How those do: `proxy` where bytes are to be held back, else by namespaces where the machine allows them. */
  readonly by?: 'proxy' | 'either';
  readonly supervised?: boolean;
  readonly nats?: NatsOptions;
  readonly options?: NodeProgramSettings['options'];
  readonly passivateAfterMs?: number;
  /** Ledgers have their history in JetStream. */
  readonly durable?: boolean;
  readonly jetstream?: Omit<JetStreamOptions, 'servers' | 'replicas'>;
  /** A part of the protocol that is taken out of every node. */
  readonly without?: string | undefined;
  /** Imported by every node before its program. */
  readonly imports?: readonly string[];
}

export type SpawnOptions = NodeProgramSettings['options'] &
  Launch &
  Pick<NodeProgramSettings, 'eventVersion'> & { readonly servers?: readonly string[] };

/** Servers, a cluster of node processes, an observer of its records, callers, and the verbs for what goes wrong. */
export class World implements AsyncDisposable {
  readonly cluster: string = `chaos-${randomBytes(4).toString('hex')}`;
  readonly #options: WorldOptions;
  readonly #stack = new AsyncDisposableStack();
  readonly #nodes = new Map<string, NodeProcess>();
  readonly #every: NodeProcess[] = [];
  readonly #reaches = new Map<string, Reach>();
  /** How nodes reach the store, where that is another way than to the rest: with the proxy. */
  readonly #storeReaches = new Map<string, ProxyReach>();
  readonly #traces: TraceReader[] = [];
  #kept: TraceLine[] = [];
  #servers: readonly NatsServer[] = [];
  #cluster: NatsCluster | undefined;
  #namespaces: Namespaces | undefined;
  #disk: LoopDisk | undefined;
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

  /** The only server. */
  get server(): NatsServer {
    if (this.#servers.length !== 1) throw new Error('this world has more than one server');
    return this.#servers[0]!;
  }

  /** Where the only server stores. */
  get storeDir(): string {
    return join(this.#disk?.folder ?? this.#folder, 'jetstream');
  }

  /** The servers as a cluster of their own. */
  get natsCluster(): NatsCluster {
    if (this.#cluster === undefined) throw new Error('this world has one server');
    return this.#cluster;
  }

  get serverName(): string {
    const running = this.#servers.find((server) => server.running);
    return running === undefined ? 'nats-server' : `nats-server ${running.info.version}`;
  }

  /** By what faults of the network are made; undefined where none is. */
  get network(): Reach['how'] | undefined {
    return [...this.#reaches.values()][0]?.how;
  }

  get observer(): Observer {
    return this.#observer;
  }

  get nodes(): readonly NodeProcess[] {
    return [...this.#nodes.values()];
  }

  /** Every process that there was. */
  get processes(): readonly NodeProcess[] {
    return this.#every;
  }

  /** The latest process under this id. */
  node(nodeId: string): NodeProcess {
    const node = this.#nodes.get(nodeId);
    if (node === undefined) throw new Error(`there is no node ${nodeId}`);
    return node;
  }

  /** Starts a process under this id, which may be a second one; does not wait for it. */
  async spawn(nodeId: string, { without, imports, prefix, servers, eventVersion, ...options }: SpawnOptions = {}): Promise<NodeProcess> {
    const traceFile = join(this.#folder, `${nodeId}-${this.#traces.length}.jsonl`);
    this.#traces.push(new TraceReader(traceFile));
    const reach = this.#reaches.get(nodeId);
    const { passivateAfterMs } = this.#options;
    const settings: NodeProgramSettings = {
      ...{ cluster: this.cluster, nodeId, traceFile, ...(passivateAfterMs === undefined ? {} : { passivateAfterMs }) },
      nats: { ...this.#natsOptions(), ...(reach && { servers: reach.servers }), ...(servers && { servers }) },
      ...(this.#options.durable === true && { store: this.#storeOptions((this.#storeReaches.get(nodeId) ?? reach)?.servers) }),
      ...(eventVersion === undefined ? {} : { eventVersion }),
      options: { ...this.#options.options, ...options },
    };
    const launch: Launch = {
      prefix: prefix ?? reach?.prefix ?? [],
      without: without ?? this.#options.without,
      imports: imports ?? this.#options.imports ?? [],
    };
    const node = this.#options.supervised === true ? await NodeProcess.supervised(settings, launch) : NodeProcess.spawn(settings, launch);
    this.#stack.use(node);
    this.#nodes.set(nodeId, node);
    this.#every.push(node);
    return node;
  }

  /** Starts a process of the same kind for a cluster of its own. */
  async stranger(): Promise<NodeProcess> {
    const settings = { cluster: `${this.cluster}-other`, nodeId: 'stranger', nats: this.#natsOptions() };
    return this.#stack.use(NodeProcess.spawn({ ...settings, traceFile: join(this.#folder, 'stranger.jsonl') })).ready();
  }

  /** Starts a process and resolves when its node serves. */
  async start(nodeId: string, options: SpawnOptions = {}): Promise<NodeProcess> {
    return (await this.spawn(nodeId, options)).ready();
  }

  /** SIGTERM; resolves with the exit code. */
  async stop(nodeId: string): Promise<number | null> {
    const code = await this.node(nodeId).stop();
    this.#nodes.delete(nodeId);
    return code;
  }

  /** SIGKILL to the process; a supervisor lives on. */
  kill(nodeId: string): void {
    process.kill(this.node(nodeId).pid, 'SIGKILL');
  }

  freeze(nodeId: string): Promise<void> {
    return this.node(nodeId).freeze();
  }

  thaw(nodeId: string): void {
    this.node(nodeId).thaw();
  }

  async cut(nodeId: string, way: Way = 'both'): Promise<void> {
    await Promise.all([this.reach(nodeId).cut(way), this.#storeReaches.get(nodeId)?.cut(way)]);
  }

  async heal(nodeId: string): Promise<void> {
    await Promise.all([this.reach(nodeId).heal(), this.#storeReaches.get(nodeId)?.heal()]);
  }

  slow(nodeId: string, slowness: Slowness): Promise<void> {
    return this.reach(nodeId).slow(slowness);
  }

  /** Bytes are kept back; only where the node is reached by a proxy. */
  hold(nodeId: string, way: Way): void {
    void this.proxy(nodeId).cut(way);
    void this.#storeReaches.get(nodeId)?.cut(way);
  }

  release(nodeId: string): void {
    void this.proxy(nodeId).heal();
    void this.#storeReaches.get(nodeId)?.heal();
  }

  /** No room is left where the server stores. */
  fill(): Promise<void> {
    return this.#ownDisk().fill();
  }

  free(): Promise<void> {
    return this.#ownDisk().free();
  }

  /** The server's machine loses its power: what it acknowledged and did not force to its disk is gone. Nobody answers until `restart`. */
  async cutPower(): Promise<void> {
    await this.server.freeze();
    await this.#ownDisk().photograph();
    await this.server.kill();
    await this.#ownDisk().revert();
  }

  #ownDisk(): LoopDisk {
    if (this.#disk === undefined) throw new Error('the server of this world has no disk of its own');
    return this.#disk;
  }

  reach(nodeId: string): Reach {
    const reach = this.#reaches.get(nodeId);
    if (reach === undefined) throw new Error(`node ${nodeId} has no way of its own to the server`);
    return reach;
  }

  proxy(nodeId: string): ProxyReach {
    const reach = this.reach(nodeId);
    if (!(reach instanceof ProxyReach)) throw new Error(`node ${nodeId} has no proxy`);
    return reach;
  }

  /** The way of a node to the store alone. */
  storeProxy(nodeId: string): ProxyReach {
    const reach = this.#storeReaches.get(nodeId);
    if (reach === undefined) throw new Error(`node ${nodeId} has no proxy before its store`);
    return reach;
  }

  /** All that is in the log. */
  async stored(): Promise<Stored> {
    const { cluster } = this;
    const store = await jetstream(this.#storeOptions()).open(storeEnvironment({ cluster, nodeId: 'auditor', shards: shardCount }));
    try {
      return await readStored(store, shardCount);
    } finally {
      await store.close();
    }
  }

  async client(options: Partial<ClientOptions> & { readonly through?: Reach; readonly nats?: NatsOptions } = {}): Promise<Client> {
    const { through, nats: more, ...rest } = options;
    const transport = nats({ ...this.#natsOptions(), ...(through && { servers: through.servers }), ...more });
    return this.#stack.use(await connect({ cluster: this.cluster, transport, connectTimeoutMs: 20_000, ...rest }));
  }

  /** A part of the processor's time that this node may take, in percent; `undefined` where this machine cannot limit it. */
  async starve(nodeId: string, percent: number): Promise<Starved | undefined> {
    const starved = await Starved.start(this.node(nodeId).pid, percent);
    if (starved) this.#stack.use(starved);
    return starved;
  }

  /** A way to the servers for a caller. */
  async proxyForCaller(): Promise<ProxyReach> {
    return this.#stack.use(await ProxyReach.open(this.#urls()));
  }

  /** Those of the keys that this node owns now. */
  owned(nodeId: string, keys: readonly string[]): string[] {
    return keys.filter((key) => this.ownerOf(key) === nodeId);
  }

  ownerOf(key: string): string | undefined {
    return this.#observer.shards.get(shardOf(key, shardCount))?.nodeId;
  }

  /** Every effect so far, by all processes that there were. */
  turns(): Turn[] {
    return this.#lines().filter((line) => line.is === 'turn');
  }

  /** All that is known of what was asked, told and done. Every trace counts, so every caller's load must be given. */
  history(...loads: readonly Load[]): { readonly outcomes: readonly Outcome[]; readonly turns: readonly Turn[] } {
    const lines = this.#lines();
    const local: readonly Outcome[] = lines.filter((line) => line.is === 'outcome');
    return {
      outcomes: [...loads.flatMap((load) => load.outcomes), ...local],
      turns: lines.filter((line) => line.is === 'turn'),
    };
  }

  /** Copies what the nodes wrote and what the servers said. */
  async keep(folder: string): Promise<void> {
    await cp(this.#folder, folder, { recursive: true, filter: (path) => path !== this.storeDir });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  /** What the processes wrote of keys that begin so is not needed any more. */
  forget(prefix: string): void {
    this.#kept = this.#lines().filter(({ key }) => !key.startsWith(prefix));
  }

  #lines(): TraceLine[] {
    for (const trace of this.#traces) for (const line of trace.next()) this.#kept.push(line);
    return this.#kept;
  }

  #urls(): string[] {
    return this.#servers.map(({ url }) => url);
  }

  #natsOptions(): NatsOptions {
    const { replicas = 1 } = this.#options;
    return { servers: this.#urls(), replicas, ...this.#options.nats };
  }

  #storeOptions(servers: readonly string[] = this.#urls()): JetStreamOptions {
    const { replicas = 1 } = this.#options;
    return { servers, replicas, ...this.#options.jetstream };
  }

  async #open(): Promise<void> {
    const { nodes, apart = [], by = 'either', replicas = 1, diskMb } = this.#options;
    this.#folder = await mkdtemp(join(tmpdir(), 'perkey-chaos-'));
    this.#stack.defer(() => rm(this.#folder, { recursive: true, force: true }));
    if (apart.length > 0 && by === 'either' && replicas === 1) this.#namespaces = await Namespaces.open();
    if (this.#namespaces) this.#stack.use(this.#namespaces);
    if (diskMb !== undefined) {
      this.#disk = await LoopDisk.open(diskMb);
      if (this.#disk === undefined) throw new CannotRun('this machine does not mount file systems in files');
      this.#stack.use(this.#disk);
    }
    await this.#startServers(replicas);
    for (const nodeId of apart) {
      const reach = this.#namespaces
        ? await this.#namespaces.reach(this.server.port)
        : this.#stack.use(await ProxyReach.open(this.#urls()));
      this.#reaches.set(nodeId, reach);
      if (this.#options.durable === true && reach.how === 'proxy')
        this.#storeReaches.set(nodeId, this.#stack.use(await ProxyReach.open(this.#urls())));
    }
    this.#observer = this.#stack.use(await Observer.start(this.cluster, this.#natsOptions(), shardCount));
    const started = await Promise.all(nodes.map((nodeId) => this.spawn(nodeId)));
    await Promise.all(started.map((node) => node.ready(30_000)));
    await this.#observer.settled(nodes, 30_000);
  }

  async #startServers(replicas: number): Promise<void> {
    const { binary, serverConfig = '' } = this.#options;
    if (replicas > 1) {
      this.#cluster = this.#stack.use(await startNatsCluster({ size: replicas, ...(binary && { binary }), config: serverConfig }));
      this.#servers = this.#cluster.servers;
      return;
    }
    // Namespaces reach the machine by other addresses than 127.0.0.1.
    const listen = this.#namespaces ? `listen: "0.0.0.0:${await freePort()}"\n` : '';
    const { storeDir } = this;
    const { syncAlways, without } = this.#options;
    const isSynced = syncAlways === true && without !== syncOfStore;
    const sync = isSynced ? `jetstream { store_dir: ${JSON.stringify(storeDir)}, sync_interval: always }\n` : '';
    this.#servers = [this.#stack.use(await startNatsServer({ binary, storeDir, config: `${listen}${sync}${serverConfig}` }))];
  }
}

async function freePort(): Promise<number> {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  listener.close();
  await once(listener, 'close');
  return port;
}
