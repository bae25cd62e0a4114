import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import { pause } from '../base/pause.ts';
import type { Guard } from '../contract/calls.ts';
import type { OpenStore } from '../contract/store.ts';
import { Checkpoints } from './checkpoints.ts';
import { DeadLetters } from './dead-letters.ts';
import type { EventCatalogue } from './event-catalogue.ts';
import type { EventSource } from './event-source.ts';
import { type Generation, GenerationRecords, type Generations } from './generations.ts';
import type { Projection } from './projection.ts';
import { ProjectionMetrics } from './projection-metrics.ts';
import { ProjectionRun, type ProjectionState } from './projection-run.ts';
import { sequenceBefore } from './stored-event.ts';

export interface ProjectionGroupOptions {
  /** Definitions of one name and different versions. */
  readonly projections: readonly Projection[];
  /** As for a `ProjectionRun`. */
  readonly epoch: number | undefined;
  readonly onFenced: (epoch: number) => void;
  readonly store: OpenStore;
  readonly source: EventSource;
  readonly catalogues: ReadonlyMap<string, EventCatalogue>;
  readonly guard: Guard;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export interface ProjectionStatus {
  readonly projection: string;
  readonly generation: number;
  readonly version: number;
  /** The generation to be read. */
  readonly isLive: boolean;
  readonly state: ProjectionState;
  readonly position: number;
  readonly error: string | undefined;
}

const lookEveryMs = 2_000;

/**
 * All generations of one projection, on the node that has the right to run it: the live one, and beside it one that is built from zero. When that one
 * has caught up it becomes the live one, and the former ends.
 */
export class ProjectionGroup {
  readonly #o: ProjectionGroupOptions;
  readonly #name: string;
  readonly #records: GenerationRecords;
  readonly #metrics: ProjectionMetrics;
  readonly #stop = new AbortController();
  readonly #runs = new Map<number, { readonly generation: Generation; readonly run: ProjectionRun }>();
  readonly #done: Promise<void>;
  #now: Generations = { live: undefined, building: undefined };
  #looking = new AbortController();

  constructor(options: ProjectionGroupOptions) {
    this.#o = options;
    this.#name = options.projections[0]?.name ?? '';
    this.#records = new GenerationRecords(options.store.records);
    this.#metrics = new ProjectionMetrics(options.metrics, this.#name);
    this.#done = this.#run();
  }

  status(): readonly ProjectionStatus[] {
    return Array.from(this.#runs.values(), ({ generation, run }) => ({
      ...{ projection: this.#name, generation: generation.number, version: generation.version },
      isLive: this.#now.live?.number === generation.number,
      ...{ state: run.state, position: run.position, error: run.error },
    }));
  }

  /** Resolves when no handler runs any more. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#looking.abort();
    await Promise.all(Array.from(this.#runs.values(), ({ run }) => run.stop()));
    await this.#done;
  }

  /** Never rejects. Looks at the records of the generations, which any node may change. */
  async #run(): Promise<void> {
    const { clock, log } = this.#o;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      this.#looking = new AbortController();
      try {
        await this.#look();
      } catch (thrown) {
        log.warn({ projection: this.#name, err: thrown }, 'the generations of a projection could not be looked at; it is tried again');
      }
      await pause(clock, lookEveryMs, AbortSignal.any([signal, this.#looking.signal]));
    }
  }

  async #look(): Promise<void> {
    const { projections, source, store } = this.#o;
    const newest = Math.max(...projections.map(({ version }) => version));
    this.#now = await this.#records.begin(this.#name, newest, await source.end());
    const { live, building } = this.#now;
    for (const generation of [live, building]) if (generation !== undefined) this.#begin(generation);
    for (const [number, { run }] of this.#runs) {
      if (number === live?.number || number === building?.number) continue;
      await run.stop();
      this.#runs.delete(number);
      await this.#checkpointsOver(number);
    }
    const shown = this.#runs.get(live?.number ?? building?.number ?? 0)?.run;
    if (shown !== undefined) this.#metrics.lag.set(Math.max(0, (await store.events.last()) - sequenceBefore(shown.position)));
  }

  #begin(generation: Generation): void {
    const { projections, epoch, onFenced, source, catalogues, guard, clock, log, store } = this.#o;
    const projection = projections.find(({ version }) => version === generation.version);
    if (this.#stop.signal.aborted || projection === undefined || this.#runs.has(generation.number)) return;
    const run = new ProjectionRun({
      ...{ projection, generation, epoch, onFenced, source, catalogues, guard, clock, log, metrics: this.#metrics },
      checkpoints: new Checkpoints(store.records),
      deadLetters: new DeadLetters(store.records),
      onCaughtUp: () => void this.#caughtUp(projection, generation),
    });
    this.#runs.set(generation.number, { generation, run });
  }

  /** Never rejects. */
  async #caughtUp(projection: Projection, generation: Generation): Promise<void> {
    const { clock, log } = this.#o;
    const { signal } = this.#stop;
    const { number, version } = generation;
    let isSwitched = false;
    while (!signal.aborted && (isSwitched || this.#now.building?.number === number)) {
      try {
        if (!isSwitched) this.#now = await this.#records.switchTo(this.#name, number);
        isSwitched = true;
        // Another build took its place meanwhile.
        if (this.#now.live?.number !== number) break;
        await projection.onSwitch?.(number, log);
        log.info({ projection: this.#name, generation: number, version }, 'a build of a projection is live');
        break;
      } catch (thrown) {
        log.error({ projection: this.#name, err: thrown }, 'switching a projection to its new build failed; it is tried again');
        await pause(clock, lookEveryMs, signal);
      }
    }
    this.#looking.abort();
  }

  async #checkpointsOver(generation: number): Promise<void> {
    const { store, projections } = this.#o;
    const name = `${this.#name}.${generation}`;
    await new Checkpoints(store.records).forget(name);
    for (const { readModel } of projections) {
      const at = (await readModel?.checkpoint(name)) ?? 0;
      if (at > 0) await readModel?.advance(name, at, 0, () => {});
    }
  }
}
