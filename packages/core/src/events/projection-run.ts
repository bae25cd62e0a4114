import type { Clock } from '../base/clock.ts';
import { describeThrown } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { pause } from '../base/pause.ts';
import { isThenable } from '../base/thenable.ts';
import type { Guard } from '../contract/calls.ts';
import { Checkpoints } from './checkpoints.ts';
import type { DeadLetters } from './dead-letters.ts';
import { EventHandling } from './event-handling.ts';
import type { EventCatalogue } from './event-catalogue.ts';
import type { EventBatch } from './event-reads.ts';
import type { EventSource } from './event-source.ts';
import type { Generation } from './generations.ts';
import type { Projection } from './projection.ts';
import type { ProjectionMetrics } from './projection-metrics.ts';
import { sequenceBefore, type StoredEvent } from './stored-event.ts';

/** `failed`: an event could not be handled. `fenced`: another node runs the projection under a later epoch. */
export type ProjectionState = 'starting' | 'catching up' | 'live' | 'failed' | 'fenced' | 'stopped';

export interface ProjectionRunOptions {
  readonly projection: Projection;
  readonly generation: Generation;
  /** Of the right to run it; rises with each owner. Undefined: nobody else can reach the store, and whoever saved before was this node itself. */
  readonly epoch: number | undefined;
  /** A checkpoint was saved under a later epoch than this one. */
  readonly onFenced: (epoch: number) => void;
  readonly source: EventSource;
  /** Lead events to the present versions of their actor types. */
  readonly catalogues: ReadonlyMap<string, EventCatalogue>;
  readonly checkpoints: Checkpoints;
  readonly deadLetters: DeadLetters;
  readonly guard: Guard;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: ProjectionMetrics;
  /** Everything that was in the store has been handled; called once, at the earliest when `liveAfter` was reached. */
  readonly onCaughtUp: () => void;
}

const retryMs = 250;
const guardMs = 50;
/** A checkpoint is saved at least after so many records of which none concerned the projection. */
const quietRecordsMax = 10_000;

/**
 * One generation of a projection, at work on one node.
 *
 * Invariant: the checkpoint passes an event only when its handler has taken it or the error strategy gave it up, and is saved under the epoch by
 * compare-and-set, so that a former owner which still runs can neither set it back nor move it on. Broken by a save that is not compared, or by a
 * position that runs ahead of the handler.
 */
export class ProjectionRun {
  readonly #o: ProjectionRunOptions;
  readonly #stop = new AbortController();
  readonly #handling: EventHandling;
  readonly #name: string;
  #state: ProjectionState = 'starting';
  #epoch: number;
  #position = 0;
  #saved = 0;
  #error: string | undefined = undefined;
  #isCaughtUp = false;
  /** A checkpoint on its way to the store, while the events behind it are handled already; false where it was fenced. */
  #saving: Promise<boolean> | undefined = undefined;
  readonly #done: Promise<void>;

  constructor(options: ProjectionRunOptions) {
    this.#o = options;
    const { projection, generation, epoch, deadLetters, clock, log, metrics } = options;
    this.#epoch = epoch ?? 1;
    this.#name = `${projection.name}.${generation.number}`;
    this.#handling = new EventHandling({
      ...{ projection, deadLetters, clock, log, metrics, signal: this.#stop.signal },
      ...{ generation: generation.number, liveAfter: generation.liveAfter },
    });
    metrics.running.set(1);
    this.#done = this.#run();
  }

  get state(): ProjectionState {
    return this.#state;
  }

  /** Everything up to here has been handled. */
  get position(): number {
    return this.#position;
  }

  get error(): string | undefined {
    return this.#error;
  }

  /** Resolves when the handler has returned and nothing more is written. */
  stop(): Promise<void> {
    this.#stop.abort();
    return this.#done;
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await this.#load();
        await this.#follow();
        break;
      } catch (thrown) {
        this.#o.log.warn({ projection: this.#name, err: thrown }, 'a projection was interrupted; it goes on from its checkpoint');
        await this.#settleSave().catch(() => false);
        await pause(this.#o.clock, retryMs, signal);
      }
    }
    if (this.#state !== 'fenced') await this.#saveLast();
    if (this.#state !== 'failed' && this.#state !== 'fenced') this.#state = 'stopped';
    this.#o.metrics.running.set(0);
  }

  /** Spares the next owner what was handled since the last checkpoint. */
  async #saveLast(): Promise<void> {
    const { guard, clock, log } = this.#o;
    try {
      if (!(await this.#settleSave()) || this.#position === this.#saved || !guard.mayAct(clock.now())) return;
      await this.#commit(this.#position, () => {});
    } catch (thrown) {
      log.debug(
        { projection: this.#name, err: thrown },
        'the last checkpoint of a projection was not saved; some events are handled again',
      );
    }
  }

  async #load(): Promise<void> {
    const { projection, checkpoints, epoch } = this.#o;
    if (projection.readModel !== undefined) {
      this.#saved = this.#position = await projection.readModel.checkpoint(this.#name);
      return;
    }
    const found = await checkpoints.load(this.#name);
    if (epoch === undefined) this.#epoch = Math.max(this.#epoch, found?.epoch ?? 0);
    else if (found !== undefined && found.epoch > epoch) this.#fenced(found.epoch);
    this.#position = found?.position ?? 0;
    this.#saved = this.#position;
    // Saved again under this epoch before anything is handled: from here on a former owner gets no further.
    if (!this.#stop.signal.aborted && found?.epoch !== this.#epoch) await this.#save(this.#position);
  }

  #fenced(epoch: number): void {
    this.#end('fenced', undefined);
    this.#o.onFenced(epoch);
  }

  #end(state: 'failed' | 'fenced', thrown: unknown): void {
    this.#state = state;
    this.#error = thrown === undefined ? undefined : describeThrown(thrown);
    this.#stop.abort();
    const fields = { projection: this.#name, position: this.#position, err: thrown };
    if (state === 'failed') this.#o.log.error(fields, 'the projection stands still: an event could not be handled');
    else this.#o.log.warn(fields, 'another node runs the projection; this one stops');
  }

  async #follow(): Promise<void> {
    const { source, projection, catalogues } = this.#o;
    const { signal } = this.#stop;
    if (signal.aborted) return;
    if (this.#state === 'starting') this.#state = 'catching up';
    const { types, events, batchMax } = projection;
    for await (const batch of source.subscribe({ after: this.#position, types, events, batchMax, catalogues, signal })) {
      if (!(await this.#take(batch)) || signal.aborted) return;
    }
  }

  /** False: the run has ended. */
  async #take({ events, through, live }: EventBatch): Promise<boolean> {
    const { generation } = this.#o;
    if (events.length > 0 && !(await this.#handle(events, through))) return false;
    this.#position = Math.max(this.#position, through);
    const isQuiet = sequenceBefore(this.#position) - sequenceBefore(this.#saved) < quietRecordsMax;
    if (!isQuiet && !(await this.#save(this.#position))) return false;
    if (live && !this.#isCaughtUp && this.#position >= generation.liveAfter) {
      if (!(await this.#settleSave()) || (this.#saved !== this.#position && !(await this.#save(this.#position)))) return false;
      this.#isCaughtUp = true;
      this.#state = 'live';
      this.#o.onCaughtUp();
    }
    return true;
  }

  #handle(events: readonly StoredEvent[], through: number): Promise<boolean> {
    return this.#o.projection.readModel === undefined ? this.#handleEach(events, through) : this.#handleTogether(events, through);
  }

  /** At least once: first the handler, then the checkpoint. */
  async #handleEach(events: readonly StoredEvent[], through: number): Promise<boolean> {
    for (const event of events) {
      for (let attempt = 1; ; attempt += 1) {
        if (!this.#mayActNow() && !(await this.#mayAct())) return false;
        try {
          const result = this.#handling.call(event, undefined);
          if (isThenable(result)) await result;
          this.#o.metrics.handled.inc();
          break;
        } catch (thrown) {
          if (await this.#isOver(event, thrown, attempt)) return false;
          if (this.#position >= event.position) break;
        }
      }
      this.#position = event.position;
    }
    return this.#saveBehind(through);
  }

  /** Does not wait for this checkpoint, but for the one before: at most two batches are handled again by the next owner. */
  async #saveBehind(position: number): Promise<boolean> {
    if (!(await this.#settleSave()) || !(await this.#mayAct())) return false;
    const saving = this.#commit(position, () => {});
    // Whoever settles it hears of its failure.
    saving.catch(() => {});
    this.#saving = saving;
    return true;
  }

  async #settleSave(): Promise<boolean> {
    const saving = this.#saving;
    this.#saving = undefined;
    return saving === undefined || (await saving);
  }

  /** Exactly once: the handler's writes and the checkpoint are one transaction. The event that a handler throws at is tried alone. */
  async #handleTogether(events: readonly StoredEvent[], through: number): Promise<boolean> {
    let from = 0;
    let count = events.length;
    for (let attempt = 1; from < events.length;) {
      if (!(await this.#mayAct())) return false;
      const some = events.slice(from, from + count);
      const upTo = from + count === events.length ? through : (some.at(-1)?.position ?? this.#position);
      const failed = await this.#transact(some, upTo);
      if (failed === 'fenced') return false;
      if (failed === undefined) {
        from += count;
        count = events.length - from;
        attempt = 1;
      } else if (failed.index > 0) {
        count = failed.index;
      } else {
        count = 1;
        if (await this.#isOver(failed.event, failed.thrown, attempt)) return false;
        if (this.#position >= failed.event.position) {
          if (!(await this.#save(this.#position))) return false;
          from += 1;
          count = events.length - from;
          attempt = 1;
        } else attempt += 1;
      }
    }
    return true;
  }

  async #transact(events: readonly StoredEvent[], position: number): Promise<Failed | 'fenced' | undefined> {
    let failed: Failed | undefined;
    const work = (tx: unknown): void => {
      for (const [index, event] of events.entries()) {
        try {
          if (isThenable(this.#handling.call(event, tx)))
            throw new TypeError('the handler of a projection with a read model is not synchronous');
        } catch (thrown) {
          failed = { index, event, thrown };
          throw thrown;
        }
      }
    };
    try {
      if (!(await this.#commit(position, work))) return 'fenced';
    } catch (thrown) {
      if (failed !== undefined) return failed;
      throw thrown;
    }
    this.#position = position;
    this.#o.metrics.handled.inc(events.length);
    return undefined;
  }

  /** The event that is given up counts as handled: the position passes it. True where the run ends instead. */
  async #isOver(event: StoredEvent, thrown: unknown, attempt: number): Promise<boolean> {
    const verdict = await this.#handling.failed(event, thrown, attempt);
    if (verdict === 'stop' && !this.#stop.signal.aborted) this.#end('failed', thrown);
    if (verdict === 'next') this.#position = event.position;
    return verdict === 'stop';
  }

  #mayActNow(): boolean {
    const { guard, clock } = this.#o;
    return !this.#stop.signal.aborted && guard.mayAct(clock.now());
  }

  /** Waits until the lease of this node holds; false when the run ends before. */
  async #mayAct(): Promise<boolean> {
    const { signal } = this.#stop;
    while (!signal.aborted && !this.#mayActNow()) await pause(this.#o.clock, guardMs, signal);
    return !signal.aborted;
  }

  async #save(position: number): Promise<boolean> {
    return (await this.#settleSave()) && (await this.#mayAct()) && this.#commit(position, () => {});
  }

  /** False when it was fenced. Rejects with what `work` threw, or with `store.unavailable`. */
  async #commit(position: number, work: (tx: unknown) => void): Promise<boolean> {
    const { projection, checkpoints, metrics } = this.#o;
    const { readModel } = projection;
    const epoch = this.#epoch;
    if (readModel !== undefined) {
      const isNext = await readModel.advance(this.#name, this.#saved, position, work);
      // Each event counts once there, whoever writes it: this run goes on behind what the other one has written.
      if (!isNext) throw new Error('another run has moved the checkpoint meanwhile');
    } else {
      const later = await checkpoints.save(this.#name, { position, epoch });
      if (later !== undefined) {
        this.#fenced(later);
        return false;
      }
    }
    this.#saved = position;
    metrics.checkpoints.inc();
    return true;
  }
}

interface Failed {
  readonly index: number;
  readonly event: StoredEvent;
  readonly thrown: unknown;
}
