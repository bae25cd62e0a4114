import type { Durability, DurabilityFactory, DurabilityParts } from '../actor/durability.ts';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import type { Random } from '../base/random.ts';
import type { OpenStore } from '../contract/store.ts';
import { EventStore } from '../events/event-store.ts';
import { Snapshots } from '../events/snapshots.ts';
import { StateStore } from '../events/state-store.ts';
import { Barriers } from './barriers.ts';
import { CommitCycle } from './commit-cycle.ts';
import { Doubts } from './doubts.ts';
import { DurableMetrics } from './durable-metrics.ts';
import { EventKeeping, versionOf } from './event-keeping.ts';
import { FenceLog } from './fence-log.ts';
import type { Keeping } from './keeping.ts';
import { Loader } from './loader.ts';
import type { DurableSettings } from './settings.ts';
import { StateKeeping } from './state-keeping.ts';
import { remindersOf } from './turn-notes.ts';
import type { Duties } from './wakes/duties.ts';

export interface DurableActorsOptions {
  readonly store: OpenStore;
  readonly settings: DurableSettings;
  /** Of the cluster. */
  readonly shards: number;
  /** Node and incarnation, as others read it in the records. */
  readonly owner: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** The lease, asked in the step in which a record goes to the store. */
  readonly mayAct: (now: number) => boolean;
  /** Asked before a record of the shard goes to the store; `true` where any shard's may. */
  readonly mayStore: (shard: number, epoch: number) => true | Promise<boolean>;
  /** A record of a higher epoch than the one under which this node serves the shard. */
  readonly onFenced: (shard: number, epoch: number) => void;
  /** What is done without being called; undefined where nothing of it is. */
  readonly duties?: Duties | undefined;
}

/** Binds the durable types of one node incarnation to its store. */
export function durableActors(options: DurableActorsOptions): DurabilityFactory {
  const { store, settings, shards, clock, random, log, metrics } = options;
  const { eventsPerCommitMax, commitBytesMax, commitSettleMs } = settings;
  const shared = { clock, random, metrics, shards, options: { eventsPerCommitMax, commitBytesMax, commitSettleMs } };
  const events = new EventStore({ ...shared, log: store.events });
  const states = new StateStore({ ...shared, log: store.states });
  const snapshots = new Snapshots({ store: store.snapshots, clock, log, metrics, kept: settings.snapshotsKept });
  const barriers = { events: new Barriers(store.events), states: new Barriers(store.states) };
  return (parts) => {
    const { durable, createState, idempotency } = parts.type.definition;
    const { services } = parts;
    const ofType = new DurableMetrics(metrics, parts.type.name);
    const limits = { repliesMax: idempotency.countMax, replyAgeMs: idempotency.ageMs };
    if (durable?.kind !== 'events') {
      const keeping = new StateKeeping({ services, states, limits, noteLimits: settings, createState });
      return cycle(options, parts, keeping, barriers.states, ofType);
    }
    const { aggregate, snapshotEvery = settings.snapshotEvery } = durable;
    const turns = { aggregate, services, eventsMax: eventsPerCommitMax, versionOf, remindersOf };
    const rest = { events, snapshots, snapshotEvery, limits, noteLimits: settings, metrics: ofType };
    return cycle(options, parts, new EventKeeping(parts.type.name, { turns, ...rest }), barriers.events, ofType);
  };
}

function cycle(
  { settings, owner, log, mayAct, mayStore, onFenced, duties }: DurableActorsOptions,
  parts: DurabilityParts,
  keeping: Keeping,
  barriers: Barriers,
  metrics: DurableMetrics,
): Durability {
  const { clock, failures } = parts;
  const doubts = new Doubts();
  const fenceLog = new FenceLog(log, clock, metrics, onFenced);
  const loader = new Loader({
    ...{ clock, keeping, fenceLog, metrics, owner, doubts, barriers },
    mayAct: () => mayAct(clock.now()),
    timeoutMs: settings.loadTimeoutMs,
    onFailure: (activation, error) => failures.note(activation, 'load', { err: error }, 'a durable actor could not be loaded'),
  });
  return new CommitCycle({ parts, settings, keeping, loader, fenceLog, metrics, mayAct, mayStore, doubts, duties });
}
