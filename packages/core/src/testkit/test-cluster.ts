import type { ActorDefinition } from '../actor/definition.ts';
import type { GivenOptions } from '../base/options.ts';
import { seededRandom } from '../base/random.ts';
import { type Client, connect } from '../client/client.ts';
import { type Node, startNode } from '../cluster/node.ts';
import type { Store } from '../contract/store.ts';
import type { Transport } from '../contract/transport.ts';
import type { Projection } from '../events/projection.ts';
import type { nodeOptions } from '../cluster/settings.ts';
import { memory } from '../memory/memory-hub.ts';
import { FaultyTransport } from './faulty-transport.ts';
import type { ProcessFaults } from './faults/process-faults.ts';
import { VirtualClock } from './virtual-clock.ts';

export interface TestClusterOptions {
  readonly actors: readonly ActorDefinition[];
  /** Nodes to begin with, named `node-0` and so on. Default 3. */
  readonly nodes?: number;
  /** For every node; what is left out has its usual default. */
  readonly settings?: Omit<GivenOptions<typeof nodeOptions>, 'nodeId'>;
  /** Where durable actors are kept. */
  readonly store?: Store;
  readonly projections?: readonly Projection[];
  /** What its transport is in truth, for what goes on beside the cluster. */
  readonly inner?: Transport;
  /** A fork of another cluster's, for clusters that share a store. */
  readonly clock?: VirtualClock;
  /** The same seed gives the same run. Default 1. */
  readonly seed?: number;
}

interface Process {
  readonly clock: VirtualClock;
  readonly node: Node;
}

const cluster = 'test';

/**
 * A whole cluster in this process: every node has a clock of its own on one timeline that only the test moves, and all of them share
 * an in-process broker. Real time, chance and sockets play no part.
 */
export class TestCluster {
  readonly clock: VirtualClock;
  readonly transport: FaultyTransport;
  readonly #options: TestClusterOptions;
  readonly #processes = new Map<string, Process>();
  #client: Client | undefined;
  #started = 0;

  private constructor(options: TestClusterOptions) {
    this.#options = options;
    this.clock = options.clock ?? new VirtualClock();
    this.transport = new FaultyTransport(options.inner ?? memory(), { clock: this.clock });
  }

  /** Resolves when the nodes are members, every shard has an owner, and a client is connected. */
  static async start(options: TestClusterOptions): Promise<TestCluster> {
    const testCluster = new TestCluster(options);
    for (let i = 0; i < (options.nodes ?? 3); i += 1) await testCluster.addNode();
    const { clock, transport } = testCluster;
    const random = seededRandom((options.seed ?? 1) * 1_000_003);
    testCluster.#client = await clock.run(connect({ cluster, transport, clock: clock.fork(), random, env: {} }));
    await testCluster.settled();
    return testCluster;
  }

  get client(): Client {
    if (this.#client === undefined) throw new Error('the cluster has not started');
    return this.#client;
  }

  /** Throws for a name that is not running. */
  node(nodeId: string): Node {
    return this.#process(nodeId).node;
  }

  /** The verbs that break what a node sends, receives and stores. */
  faults(nodeId: string): ProcessFaults {
    return this.transport.of(nodeId);
  }

  /** Starts one more node; resolves to its name when it is a member. */
  async addNode(nodeId = `node-${this.#started}`): Promise<string> {
    this.#started += 1;
    const { actors, settings, store, projections, seed = 1 } = this.#options;
    const clock = this.clock.fork();
    const random = seededRandom(seed * 7_919 + this.#started);
    const node = await this.clock.run(
      startNode({
        ...{ ...settings, cluster, nodeId, actors, transport: this.transport, clock, random, env: {} },
        ...(store && { store }),
        ...(projections && { projections }),
      }),
    );
    this.#processes.set(nodeId, { clock, node });
    return nodeId;
  }

  /** Leaves as planned: shards move with the state of their actors. */
  async stopNode(nodeId: string): Promise<void> {
    const { node } = this.#process(nodeId);
    await this.clock.run(node.stop());
    this.#processes.delete(nodeId);
  }

  /** Dies as by `kill -9`. Others notice when its lease has run out. */
  killNode(nodeId: string): void {
    this.#process(nodeId).clock.kill();
    this.transport.of(nodeId).crash();
    this.#processes.delete(nodeId);
  }

  /** Stands still as by SIGSTOP. */
  freezeNode(nodeId: string): void {
    this.#process(nodeId).clock.freeze();
  }

  thawNode(nodeId: string): void {
    this.#process(nodeId).clock.thaw();
  }

  /** Moves time until `promise` settles. Everything that waits for the cluster goes through here. */
  run<T>(promise: Promise<T>): Promise<T> {
    return this.clock.run(promise);
  }

  advance(ms: number): Promise<void> {
    return this.clock.advance(ms);
  }

  /** Moves time until every shard is served by a running node. */
  settled(): Promise<void> {
    const shards = this.#options.settings?.shards ?? 256;
    const served = (): boolean => {
      let owned = 0;
      for (const { node } of this.#processes.values()) owned += node.inspect(0)?.shardsOwned ?? 0;
      return owned === shards;
    };
    return this.clock.until(served, { what: `all ${shards} shards to have an owner` });
  }

  /** Stops everything that still runs. */
  async stop(): Promise<void> {
    if (this.#client) await this.clock.run(this.#client.close());
    for (const nodeId of [...this.#processes.keys()]) await this.stopNode(nodeId);
  }

  #process(nodeId: string): Process {
    const process = this.#processes.get(nodeId);
    if (process === undefined)
      throw new Error(`no node "${nodeId}" is running; there are ${[...this.#processes.keys()].join(', ') || 'none'}`);
    return process;
  }
}
