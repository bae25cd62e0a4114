import type { ActorDefinition } from '../actor/definition.ts';
import { doneWithin } from '../base/pause.ts';
import type { Guard } from '../contract/calls.ts';
import type { OpenStore } from '../contract/store.ts';
import type { LinkEnvironment } from '../contract/transport.ts';
import { EventCatalogue } from '../events/event-catalogue.ts';
import { EventStore } from '../events/event-store.ts';
import type { Projection } from '../events/projection.ts';
import { HostedProjections } from './hosted-projections.ts';
import type { NodeSettings } from './settings.ts';
import type { ShardHost } from './shard-host.ts';
import { ShardListeners } from './shard-listeners.ts';

export interface SessionServicesOptions {
  readonly environment: LinkEnvironment;
  readonly settings: NodeSettings;
  readonly definitions: readonly ActorDefinition[];
  readonly projections: readonly Projection[];
  readonly store: OpenStore | undefined;
}

/** What runs on a node beside its actors, with and for the shards that it owns. */
export class SessionServices {
  readonly #o: SessionServicesOptions;
  readonly projections: HostedProjections | undefined;

  /** Throws `options.invalid`. */
  constructor(options: SessionServicesOptions, guard: Guard) {
    this.#o = options;
    const { environment, settings, projections, store } = options;
    const { clock, random, log, metrics } = environment;
    const { shards, eventsPerCommitMax, commitBytesMax, commitSettleMs } = settings;
    if (store === undefined || projections.length === 0) return;
    const limits = { eventsPerCommitMax, commitBytesMax, commitSettleMs };
    this.projections = new HostedProjections({
      ...{ definitions: projections, shards, store, guard, clock, log, metrics },
      catalogues: cataloguesOf(options.definitions),
      source: new EventStore({ log: store.events, clock, random, metrics, shards, options: limits }),
    });
  }

  /** The host of the shards, for whoever moves them: the services hear of each move. */
  beside(host: ShardHost): ShardHost {
    if (this.projections === undefined) return host;
    return new ShardListeners(host, [this.projections], (ms, promise) => doneWithin(this.#o.environment.clock, ms, promise));
  }

  /** The node serves. */
  begin(): void {
    this.projections?.begin(Math.floor(this.#o.environment.clock.wall()));
  }

  async stop(): Promise<void> {
    await this.projections?.stop();
  }
}

function cataloguesOf(definitions: readonly ActorDefinition[]): ReadonlyMap<string, EventCatalogue> {
  const catalogues = new Map<string, EventCatalogue>();
  for (const { contract, aggregate } of definitions) {
    if (aggregate !== undefined) catalogues.set(contract.type, new EventCatalogue(contract.type, aggregate.events.values()));
  }
  return catalogues;
}
