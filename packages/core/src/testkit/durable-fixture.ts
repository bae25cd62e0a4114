import type { ActorDefinition } from '../actor/definition.ts';
import { silentLogger } from '../base/log.ts';
import { noMetrics } from '../base/metrics.ts';
import { resolveOptions } from '../base/options.ts';
import { seededRandom } from '../base/random.ts';
import type { OpenStore } from '../contract/store.ts';
import type { Publication, Publish } from '../contract/transport.ts';
import { durableActors } from '../durable/durable-actors.ts';
import { DeadMessages } from '../durable/outbox/dead-messages.ts';
import { Duties } from '../durable/wakes/duties.ts';
import { type DurableSettings, durableOptions } from '../durable/settings.ts';
import type { Commit } from '../events/commit.ts';
import { EventStore } from '../events/event-store.ts';
import type { StreamReport } from '../events/verify.ts';
import type { StreamName } from '../contract/commit-log.ts';
import { CommitReader } from '../events/commit-reader.ts';
import { memoryStore } from '../memory/memory-store.ts';
import { ActorFixture, type FixtureOptions } from './actor-fixture.ts';
import type { CommitFaults } from './faults/commit-faults.ts';
import { FaultyStore } from './faulty-store.ts';
import { VirtualClock } from './virtual-clock.ts';

export interface DurableFixtureOptions extends Pick<FixtureOptions, 'settings' | 'middleware' | 'epoch'> {
  readonly durable?: Partial<DurableSettings>;
  /** What stands between the node and the store. */
  readonly through?: (store: OpenStore) => OpenStore;
  /** What stands between the node and those who take what it publishes. */
  readonly publish?: (inner: Publish) => Publish;
}

/** A store in memory with faults, and nodes that host durable actors on it, all in virtual time. */
export class DurableWorld {
  readonly clock: VirtualClock;
  readonly store: FaultyStore;
  readonly #open: OpenStore;
  /** What the nodes published, repeats too. */
  readonly published: Publication[] = [];
  readonly #duties = new Map<ActorFixture, Duties>();
  /** What was found written under a higher epoch: shard and epoch. */
  readonly fenced: (readonly [number, number])[] = [];
  #nodes = 0;

  private constructor(clock: VirtualClock, store: FaultyStore, open: OpenStore) {
    this.clock = clock;
    this.store = store;
    this.#open = open;
  }

  static async start(): Promise<DurableWorld> {
    const clock = new VirtualClock();
    const store = new FaultyStore(memoryStore(), { clock });
    return new DurableWorld(clock, store, await openFor('n', clock, store));
  }

  /** The store as a node has it that suffers by itself, by `store.of(nodeId)`. */
  openFor(nodeId: string): Promise<OpenStore> {
    return openFor(nodeId, this.clock, this.store);
  }

  /** One more node: it has shard 0 open, under an epoch of its own, whatever others believe. */
  node(definitions: readonly ActorDefinition[], options: DurableFixtureOptions = {}): ActorFixture {
    this.#nodes += 1;
    const owner = `node-${this.#nodes}/i${this.#nodes}`;
    const random = seededRandom(this.#nodes);
    const { epoch = 6 + this.#nodes, durable = {}, through, publish: _, ...rest } = options;
    const store = through === undefined ? this.#open : through(this.#open);
    const settings = resolveOptions(durableOptions, durable);
    const taken: Publish = (publication) => {
      this.published.push(publication);
      return Promise.resolve();
    };
    const publish = options.publish === undefined ? taken : options.publish(taken);
    const onFenced = (shard: number, found: number): void => void this.fenced.push([shard, found]);
    let duties: Duties | undefined;
    const node = new ActorFixture(definitions, {
      ...rest,
      epoch,
      clock: this.clock,
      durability: (fixture) => {
        const { log, metrics } = fixture;
        const mayAct = (): boolean => fixture.mayAct;
        duties = new Duties({
          ...{ cluster: 'test', records: store.records, settings, clock: this.clock, random, log, metrics, publish, mayAct, onFenced },
          host: () => fixture.host,
          caller: () => fixture,
        });
        return durableActors({
          ...{ store, settings, shards: 1, owner, random, duties, clock: this.clock, log },
          metrics,
          mayAct,
          mayStore: () => true,
          onFenced,
        });
      },
    });
    if (duties !== undefined) this.#duties.set(node, duties);
    duties?.opened(0, epoch);
    return node;
  }

  /** The node loses its shard: it hears of that, and goes on with nothing. */
  lose(node: ActorFixture): void {
    node.mayAct = false;
    node.host.dropShard(0);
    this.#duties.get(node)?.dropped(0);
  }

  /** A handoff that comes to nothing: the actors leave memory, what runs is given up after `drainMs`, and the shard is open again under the same epoch. */
  async reopen(node: ActorFixture, epoch: number, drainMs: number): Promise<void> {
    const duties = this.#duties.get(node);
    const carried = await this.clock.run(Promise.all([node.host.closeShard(0, { drainMs, successor: undefined }), duties?.closing(0)]));
    node.host.openShard(0, epoch, carried[0]);
    duties?.opened(0, epoch);
  }

  /** The records by which actors are woken, as `[key, due]`. */
  async wakes(): Promise<readonly (readonly [string, number])[]> {
    const found: (readonly [string, number])[] = [];
    const reading = async (): Promise<void> => {
      for await (const records of this.#open.records.list('wake.0.')) {
        for (const { value } of records) {
          const { key, dueAt } = JSON.parse(value) as { readonly key: string; readonly dueAt: number };
          found.push([key, dueAt]);
        }
      }
    };
    await this.clock.run(reading());
    return found;
  }

  get dead(): DeadMessages {
    return new DeadMessages(this.#open.records, 'test');
  }

  /** What the nodes suffer at the store. */
  get faults(): CommitFaults {
    return this.store.of('n');
  }

  /** Everything that is stored of one actor, oldest first. */
  async commits(type: string, key: string, log: 'events' | 'states' = 'events'): Promise<readonly Commit[]> {
    const commits: Commit[] = [];
    const reader = new CommitReader();
    const reading = async (): Promise<void> => {
      for await (const { records } of this.#open[log].read({ stream: { type, key }, after: 0, batchMax: 100 })) {
        for (const record of records) commits.push(reader.read(record));
      }
    };
    await this.clock.run(reading());
    return commits;
  }

  /** What is wrong with a stream of events. */
  async verify(stream: StreamName): Promise<StreamReport['problems']> {
    const { clock } = this;
    const store = new EventStore({ log: this.#open.events, clock, random: seededRandom(9), metrics: noMetrics, shards: 1 });
    return (await clock.run(store.verify(stream))).problems;
  }

  /** Their events, as `[name, data]`. */
  async events(type: string, key: string): Promise<readonly (readonly [string, unknown])[]> {
    const commits = await this.commits(type, key);
    return commits.flatMap(({ events }) => events.map(({ event, data }) => [event, data] as const));
  }
}

function openFor(nodeId: string, clock: VirtualClock, store: FaultyStore): Promise<OpenStore> {
  const rest = { cluster: 'test', nodeId, shards: 1, connectTimeoutMs: 1_000, log: silentLogger, metrics: noMetrics };
  return store.open({ ...rest, clock, random: seededRandom(5) });
}
