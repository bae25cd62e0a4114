import type { ActorDefinition } from '../actor/definition.ts';
import { doneWithin } from '../base/pause.ts';
import type { Caller, Guard } from '../contract/calls.ts';
import type { OpenStore } from '../contract/store.ts';
import type { LinkEnvironment, Publish } from '../contract/transport.ts';
import type { WakingHost } from '../durable/wakes/duties-options.ts';
import { Duties } from '../durable/wakes/duties.ts';
import { EventCatalogue } from '../events/event-catalogue.ts';
import { EventStore } from '../events/event-store.ts';
import type { Projection } from '../events/projection.ts';
import { HostedProjections, type ProjectionEndings } from './hosted-projections.ts';
import type { NodeSettings } from './settings.ts';
import type { ShardHost } from './shard-host.ts';
import { ShardListeners } from './shard-listeners.ts';

export interface SessionServicesOptions {
  readonly environment: LinkEnvironment;
  readonly settings: NodeSettings;
  readonly definitions: readonly ActorDefinition[];
  readonly projections: readonly Projection[];
  readonly store: OpenStore | undefined;
  readonly projectionEndings: ProjectionEndings;
}

/** What of the node its services use. */
export interface NodeParts {
  readonly host: () => WakingHost;
  readonly caller: () => Caller;
  readonly publish: Publish | undefined;
  /** The store holds something that was written under a later epoch than the one under which this node owns the shard. */
  readonly onFenced: (shard: number, epoch: number) => void;
}

/** What runs on a node beside its actors, with and for the shards that it owns. */
export class SessionServices {
  readonly #o: SessionServicesOptions;
  readonly projections: HostedProjections | undefined;
  /** See `NodeParts`. */
  readonly onFenced: NodeParts['onFenced'];
  /** What durable actors do without being called; undefined without a store. */
  readonly duties: Duties | undefined;

  /** Throws `options.invalid`. */
  constructor(options: SessionServicesOptions, guard: Guard, parts: NodeParts) {
    this.#o = options;
    this.onFenced = parts.onFenced;
    const { environment, settings, projections, store, projectionEndings: endings } = options;
    const { clock, random, log, metrics } = environment;
    const { shards, eventsPerCommitMax, commitBytesMax, commitSettleMs } = settings;
    if (store === undefined) return;
    const { records } = store;
    this.duties = new Duties({ ...environment, ...parts, settings, records, mayAct: () => guard.mayAct(clock.now()) });
    if (projections.length === 0) return;
    const limits = { eventsPerCommitMax, commitBytesMax, commitSettleMs };
    this.projections = new HostedProjections({
      ...{ definitions: projections, shards, store, guard, clock, log, metrics, endings, onFenced: parts.onFenced },
      catalogues: cataloguesOf(options.definitions),
      source: new EventStore({ log: store.events, clock, random, metrics, shards, options: limits }),
    });
  }

  /** The host of the shards, for whoever moves them: the services hear of each move. */
  beside(host: ShardHost): ShardHost {
    const listeners = [this.duties, this.projections].filter((listener) => listener !== undefined);
    if (listeners.length === 0) return host;
    return new ShardListeners(host, listeners, (ms, promise) => doneWithin(this.#o.environment.clock, ms, promise));
  }

  /** The node serves. */
  begin(): void {
    this.projections?.begin();
  }

  /** A handler that does not return is waited for `drainMs` at most. */
  async stop(): Promise<void> {
    this.duties?.stop();
    const { environment, settings } = this.#o;
    if (this.projections !== undefined) await doneWithin(environment.clock, settings.drainMs, this.projections.stop());
  }
}

function cataloguesOf(definitions: readonly ActorDefinition[]): ReadonlyMap<string, EventCatalogue> {
  const catalogues = new Map<string, EventCatalogue>();
  for (const { contract, aggregate } of definitions) {
    if (aggregate !== undefined) catalogues.set(contract.type, new EventCatalogue(contract.type, aggregate.events.values()));
  }
  return catalogues;
}
