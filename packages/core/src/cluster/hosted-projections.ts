import type { Clock } from '../base/clock.ts';
import { PerkeyError } from '../base/errors.ts';
import { shardOf } from '../base/hash.ts';
import type { Logger } from '../base/log.ts';
import { safeText } from '../base/log-text.ts';
import type { Metrics } from '../base/metrics.ts';
import type { Guard } from '../contract/calls.ts';
import type { OpenStore } from '../contract/store.ts';
import { type DeadLetter, DeadLetters } from '../events/dead-letters.ts';
import type { EventCatalogue } from '../events/event-catalogue.ts';
import type { EventSource } from '../events/event-source.ts';
import { GenerationRecords, type Generations } from '../events/generations.ts';
import type { Projection } from '../events/projection.ts';
import { ProjectionGroup, type ProjectionStatus } from '../events/projection-group.ts';
import type { ShardListener } from './shard-listeners.ts';

export interface HostedProjectionsOptions {
  readonly definitions: readonly Projection[];
  readonly shards: number;
  readonly store: OpenStore;
  readonly source: EventSource;
  readonly catalogues: ReadonlyMap<string, EventCatalogue>;
  readonly guard: Guard;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Of the node, whatever its incarnation. */
  readonly endings: ProjectionEndings;
  /** A checkpoint was saved under a later epoch than the one under which this node owns the shard. */
  readonly onFenced: (shard: number, epoch: number) => void;
}

/** By name: the former run of a projection on this node, until nothing of it goes on. */
export type ProjectionEndings = Map<string, Promise<void>>;

/**
 * The projections of a node. One whose store all nodes share runs on the node that owns the shard of its name, under the epoch of that shard: on one node
 * at a time, and on the next one when that node goes. One whose store is private runs on every node, over the events that its store holds.
 */
export class HostedProjections implements ShardListener {
  readonly #o: HostedProjectionsOptions;
  readonly #byName: ReadonlyMap<string, readonly Projection[]>;
  readonly #groups = new Map<string, ProjectionGroup>();
  /** By name: the epoch under which it begins once its former run has ended; undefined over a private store. */
  readonly #beginning = new Map<string, { readonly epoch: number | undefined }>();
  readonly #ending: ProjectionEndings;

  /** Throws `options.invalid`. */
  constructor(options: HostedProjectionsOptions) {
    this.#o = options;
    this.#ending = options.endings;
    this.#byName = grouped(options.definitions);
  }

  /** Of a private store: from the joining of the node on. */
  begin(): void {
    if (this.#o.store.privateId === undefined) return;
    for (const name of this.#byName.keys()) this.#start(name, undefined);
  }

  opened(shard: number, epoch: number): void {
    if (this.#o.store.privateId !== undefined) return;
    for (const name of this.#namesOf(shard)) this.#start(name, epoch);
  }

  async closing(shard: number): Promise<void> {
    if (this.#o.store.privateId !== undefined) return;
    await Promise.all(this.#namesOf(shard).map((name) => this.#end(name)));
  }

  dropped(shard: number): void {
    void this.closing(shard);
  }

  async stop(): Promise<void> {
    this.#beginning.clear();
    for (const name of [...this.#groups.keys()]) void this.#end(name);
    await Promise.all(this.#ending.values());
  }

  /** Of those that run here. */
  status(): readonly ProjectionStatus[] {
    return Array.from(this.#groups.values(), (group) => group.status()).flat();
  }

  /** The generation to be read and the one being built, wherever the projection runs. Rejects with `store.unavailable`. */
  generations(name: string): Promise<Generations> {
    return new GenerationRecords(this.#o.store.records).read(this.#known(name));
  }

  /** Builds the read model anew from zero, beside the live one. The node that runs it begins within two seconds. Rejects with `store.unavailable`. */
  async rebuild(name: string): Promise<Generations> {
    const { store, source } = this.#o;
    return new GenerationRecords(store.records).rebuild(this.#known(name), await source.end());
  }

  /** Rejects with `store.unavailable`. */
  deadLetters(name: string): Promise<readonly DeadLetter[]> {
    return new DeadLetters(this.#o.store.records).list(this.#known(name));
  }

  /** Forgets a dead letter that has been dealt with. */
  removeDeadLetter(name: string, position: number): Promise<void> {
    return new DeadLetters(this.#o.store.records).remove(this.#known(name), position);
  }

  #known(name: string): string {
    if (this.#byName.has(name)) return name;
    throw new PerkeyError('options.invalid', `this node has no projection "${safeText(name, 80)}"`);
  }

  #namesOf(shard: number): readonly string[] {
    return [...this.#byName.keys()].filter((name) => shardOf(name, this.#o.shards) === shard);
  }

  #start(name: string, epoch: number | undefined): void {
    const ended = this.#end(name);
    const beginning = { epoch };
    this.#beginning.set(name, beginning);
    void ended.then(() => {
      if (this.#beginning.get(name) !== beginning) return;
      this.#beginning.delete(name);
      const { shards, onFenced } = this.#o;
      const tell = (found: number): void => onFenced(shardOf(name, shards), found);
      this.#groups.set(name, new ProjectionGroup({ ...this.#o, projections: this.#byName.get(name) ?? [], epoch, onFenced: tell }));
    });
  }

  /** Resolves when no run of the projection goes on here. */
  #end(name: string): Promise<void> {
    this.#beginning.delete(name);
    const group = this.#groups.get(name);
    const former = this.#ending.get(name) ?? Promise.resolve();
    if (group === undefined) return former;
    this.#groups.delete(name);
    const ending = Promise.all([former, group.stop()]).then(() => {
      if (this.#ending.get(name) === ending) this.#ending.delete(name);
    });
    this.#ending.set(name, ending);
    return ending;
  }
}

function grouped(projections: readonly Projection[]): ReadonlyMap<string, readonly Projection[]> {
  const byName = new Map<string, readonly Projection[]>();
  for (const projection of projections) {
    const others = byName.get(projection.name) ?? [];
    if (others.some(({ version }) => version === projection.version)) {
      throw new PerkeyError('options.invalid', `projection ${projection.name} is there twice with version ${projection.version}`);
    }
    byName.set(projection.name, [...others, projection]);
  }
  return byName;
}
