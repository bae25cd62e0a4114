import type { CheckedAggregate } from '../actor/checked-aggregate.ts';
import type { Durability, DurabilityFactory, DurabilityParts } from '../actor/durability.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import type { Random } from '../base/random.ts';
import type { OpenStore } from '../contract/store.ts';
import { CommitCycle } from './commit-cycle.ts';
import { CommitIds } from './commit-ids.ts';
import { DurableMetrics } from './durable-metrics.ts';
import { EventKeeping, versionOf } from './event-keeping.ts';
import { FenceLog } from './fence-log.ts';
import { FenceWriter } from './fence-writer.ts';
import { Journal } from './journal.ts';
import type { Keeping } from './keeping.ts';
import { Loader } from './loader.ts';
import { Settler } from './settler.ts';
import type { DurableSettings } from './settings.ts';
import { Snapshots } from './snapshots.ts';
import { StateKeeping } from './state-keeping.ts';
import { remindersOf } from './turn-notes.ts';

export interface DurableActorsOptions {
  readonly store: OpenStore;
  readonly settings: DurableSettings;
  /** Node and incarnation, as others read it in the records. */
  readonly owner: string;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly mayAct: () => boolean;
  /** Asked before a record of the shard goes to the store; `true` where any shard's may. */
  readonly mayStore: (shard: number, epoch: number) => true | Promise<boolean>;
  /** A record of a higher epoch than the one under which this node serves the shard. */
  readonly onFenced: (shard: number, epoch: number) => void;
}

/** Binds the durable types of one node incarnation to its store. */
export function durableActors(options: DurableActorsOptions): DurabilityFactory {
  const { store, settings, owner, random, mayAct, mayStore } = options;
  const journal = { owner, bytesMax: settings.commitBytesMax, mayAct, mayStore };
  const events = new Journal({ ...journal, log: store.events });
  const states = new Journal({ ...journal, log: store.states });
  const ids = new CommitIds(random);
  return (parts) => {
    const { durable } = parts.type.definition;
    const metrics = new DurableMetrics(options.metrics, parts.type.name);
    if (durable?.kind === 'events') {
      const snapshots = snapshotsOf(options, parts, durable.aggregate, durable.snapshotEvery, metrics);
      return cycle(options, parts, events, eventKeeping(options, parts, durable.aggregate, ids, snapshots, metrics), snapshots, metrics);
    }
    const { createState } = parts.type.definition;
    const keeping = new StateKeeping({ services: parts.services, ids, limits: limitsOf(parts), createState });
    return cycle(options, parts, states, keeping, undefined, metrics);
  };
}

function limitsOf({ type }: DurabilityParts): { readonly repliesMax: number; readonly replyAgeMs: number } {
  const { countMax, ageMs } = type.definition.idempotency;
  return { repliesMax: countMax, replyAgeMs: ageMs };
}

function snapshotsOf(
  { store, settings, log }: DurableActorsOptions,
  parts: DurabilityParts,
  { stateVersion }: CheckedAggregate,
  snapshotEvery: number | undefined,
  metrics: DurableMetrics,
): Snapshots {
  const { clock } = parts;
  const limits = limitsOf(parts);
  const every = snapshotEvery ?? settings.snapshotEvery;
  return new Snapshots({ store: store.snapshots, clock, log, metrics, limits, stateVersion, every, kept: settings.snapshotsKept });
}

function eventKeeping(
  { settings }: DurableActorsOptions,
  { services }: DurabilityParts,
  aggregate: CheckedAggregate,
  ids: CommitIds,
  snapshots: Snapshots,
  metrics: DurableMetrics,
): EventKeeping {
  const turns = { aggregate, services, eventsMax: settings.eventsPerCommitMax, versionOf, remindersOf };
  return new EventKeeping(turns, ids, snapshots, metrics);
}

function cycle(
  { settings, owner, random, log, onFenced }: DurableActorsOptions,
  parts: DurabilityParts,
  journal: Journal,
  keeping: Keeping,
  snapshots: Snapshots | undefined,
  metrics: DurableMetrics,
): Durability {
  const { clock, guard, failures } = parts;
  const doubts = new Map<string, number>();
  const fences = new FenceWriter(journal, keeping, clock, random, metrics);
  const fenceLog = new FenceLog(log, clock, metrics, owner, onFenced);
  const loader = new Loader({
    ...{ clock, guard, journal, keeping, fences, fenceLog, metrics, doubts },
    limits: limitsOf(parts),
    timeoutMs: settings.loadTimeoutMs,
    onFailure: (activation, error) => failures.note(activation, 'load', { err: error }, 'a durable actor could not be loaded'),
  });
  const settler = new Settler({ clock, journal, keeping, fences, fenceLog, metrics, doubts });
  return new CommitCycle({ parts, settings, journal, keeping, loader, settler, snapshots, metrics, doubts });
}
