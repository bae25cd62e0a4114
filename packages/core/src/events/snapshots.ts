import type { Clock } from '../base/clock.ts';
import { describeThrown } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { LogLimiter, safeText } from '../base/log-text.ts';
import type { Counter, Histogram, Metrics } from '../base/metrics.ts';
import type { StreamName } from '../contract/commit-log.ts';
import type { Snapshot, SnapshotStore } from '../contract/store.ts';
import { readSnapshot, writeSnapshot } from './snapshot-body.ts';
import type { SnapshotContent } from './snapshot-body.ts';

/** Saves under way at once. */
const savesAtOnce = 4;
/** Snapshots that wait for their turn; beyond it new ones are left out. */
const waitingMax = 1_000;
const secondsBuckets = [0.001, 0.005, 0.02, 0.1, 0.5, 2];

/** Why a snapshot was not used, or what became of one. */
type SaveOutcome = 'saved' | 'failed' | 'left_out';
type SkipReason = 'corrupt' | 'other_version' | 'not_in_log' | 'unavailable';

export interface SnapshotsParts {
  readonly store: SnapshotStore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** How many of one stream stay. */
  readonly kept: number;
}

/** Streams of which it is remembered where their newest snapshot is. */
const placesMax = 16_384;

/** Of the newest snapshot of a stream, as long as nobody else owned its shard since. */
export interface Place {
  readonly sequence: number;
  readonly version: number;
  readonly epoch: number;
}

interface Waiting {
  readonly stream: StreamName;
  readonly content: SnapshotContent;
}

/**
 * Snapshots shorten loading and nothing else: whatever goes wrong with them is logged and counted, and what was stored is read instead.
 * Saving happens beside the commands: it is never waited for, and where it cannot keep up, snapshots are left out.
 */
export class Snapshots {
  readonly #parts: SnapshotsParts;
  readonly #limiter: LogLimiter;
  readonly #saves: Readonly<Record<SaveOutcome, Counter>>;
  readonly #skips: Readonly<Record<SkipReason, Counter>>;
  readonly #used: Counter;
  readonly #saveSeconds: Histogram;
  /** The newest of each stream, by type and key, in the order in which they came. */
  readonly #waiting = new Map<string, Waiting>();
  /** Streams of which one is being saved. */
  readonly #saving = new Set<string>();
  readonly #places = new Map<string, Place>();
  #idle: (() => void)[] = [];

  constructor(parts: SnapshotsParts) {
    this.#parts = parts;
    this.#limiter = new LogLimiter(parts.clock);
    const { metrics } = parts;
    const saves = (outcome: SaveOutcome): Counter =>
      metrics.counter('perkey_snapshot_saves_total', 'Snapshots by what became of them.', { outcome });
    const skips = (reason: SkipReason): Counter =>
      metrics.counter('perkey_snapshot_skips_total', 'Snapshots that were not used, by why.', { reason });
    this.#saves = { saved: saves('saved'), failed: saves('failed'), left_out: saves('left_out') };
    this.#skips = {
      corrupt: skips('corrupt'),
      other_version: skips('other_version'),
      not_in_log: skips('not_in_log'),
      unavailable: skips('unavailable'),
    };
    this.#used = metrics.counter('perkey_snapshot_uses_total', 'Actors that were loaded from a snapshot and what came after it.');
    this.#saveSeconds = metrics.histogram(
      'perkey_snapshot_save_duration_seconds',
      'From the start of saving a snapshot to its end.',
      secondsBuckets,
    );
  }

  /** Whether a commit that led from one version to another has completed a stretch of `every` events; 0: never. */
  static isDue(before: number, after: number, every: number): boolean {
    return every > 0 && Math.floor(before / every) < Math.floor(after / every);
  }

  /** Saves it later. Nobody may change the content any more. */
  save(stream: StreamName, content: SnapshotContent): void {
    const id = idOf(stream);
    if (this.#waiting.delete(id)) this.#saves.left_out.inc();
    if (this.#waiting.size >= waitingMax) return this.#saves.left_out.inc();
    this.#waiting.set(id, { stream, content });
    if (this.#waiting.size === 1 || this.#saving.size < savesAtOnce) this.#parts.clock.defer(() => this.#startNext());
  }

  /**
   * Those of the stream that can be read and fit the state's version, the newest first; none where the store does not answer. The newest one is
   * asked for alone, since it mostly is the one that is used.
   */
  async *load(stream: StreamName, stateVersion: number): AsyncGenerator<SnapshotContent, void, undefined> {
    const [newest] = await this.#stored(stream, 1);
    if (newest === undefined) return;
    const first = this.#content(stream, newest, stateVersion);
    if (first !== undefined) yield first;
    for (const snapshot of await this.#stored(stream, undefined)) {
      const content = snapshot.sequence === newest.sequence ? undefined : this.#content(stream, snapshot, stateVersion);
      if (content !== undefined) yield content;
    }
  }

  async #stored(stream: StreamName, max: number | undefined): Promise<readonly Snapshot[]> {
    try {
      return await this.#parts.store.load(stream, max);
    } catch (thrown) {
      this.#skip(stream, 'unavailable', describeThrown(thrown));
      return [];
    }
  }

  #content(stream: StreamName, { body, sequence }: Snapshot, stateVersion: number): SnapshotContent | undefined {
    const read = readSnapshot(stream, body, stateVersion);
    if (read.kind !== 'read') this.#skip(stream, read.kind, read.why, sequence);
    else if (read.content.head.sequence !== sequence) this.#skip(stream, 'corrupt', 'it lies in the place of another', sequence);
    else return read.content;
    return undefined;
  }

  /**
   * Of the newest snapshot, as it was saved or used here under this epoch: where to begin to read before the snapshot is there. A guess.
   * Undefined where nothing is known.
   */
  placeOf(stream: StreamName, epoch: number): Place | undefined {
    const place = this.#places.get(idOf(stream));
    return place?.epoch === epoch ? place : undefined;
  }

  /** An actor was loaded from one of them under this epoch. */
  used(stream: StreamName, { head }: SnapshotContent, epoch: number): void {
    this.#used.inc();
    this.#note(stream, { sequence: head.sequence, version: head.version, epoch });
  }

  /** The oldest one goes where they are too many. */
  #note(stream: StreamName, place: Place): void {
    const id = idOf(stream);
    this.#places.delete(id);
    this.#places.set(id, place);
    if (this.#places.size <= placesMax) return;
    for (const oldest of this.#places.keys()) {
      this.#places.delete(oldest);
      return;
    }
  }

  /** The log does not hold the record that the snapshot was taken at, as after it was set back to a copy. */
  notInLog(stream: StreamName, { head }: SnapshotContent, why: string): void {
    this.#skip(stream, 'not_in_log', why, head.sequence);
  }

  /** Resolves when nothing waits and nothing is being saved. */
  settled(): Promise<void> {
    if (this.#waiting.size === 0 && this.#saving.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #startNext(): void {
    for (const [id, { stream, content }] of this.#waiting) {
      if (this.#saving.size >= savesAtOnce) return;
      if (this.#saving.has(id)) continue;
      this.#waiting.delete(id);
      this.#saving.add(id);
      void this.#save(stream, content).then(() => {
        this.#saving.delete(id);
        this.#startNext();
        if (this.#waiting.size === 0 && this.#saving.size === 0) for (const idle of this.#idle.splice(0)) idle();
      });
    }
  }

  /** Never rejects. */
  async #save(stream: StreamName, content: SnapshotContent): Promise<void> {
    const { store, kept, clock } = this.#parts;
    const start = clock.now();
    try {
      await store.save(stream, { sequence: content.head.sequence, body: writeSnapshot(stream, content) }, kept);
      this.#saves.saved.inc();
      const { sequence, version, epoch } = content.head;
      this.#note(stream, { sequence, version, epoch });
    } catch (thrown) {
      this.#saves.failed.inc();
      this.#warn(`save ${stream.type}`, stream, describeThrown(thrown), 'a snapshot could not be saved; the next one is tried again', {});
    } finally {
      this.#saveSeconds.observe((clock.now() - start) / 1_000);
    }
  }

  #skip(stream: StreamName, reason: SkipReason, why: string, sequence?: number): void {
    this.#skips[reason].inc();
    this.#warn(`${reason} ${stream.type}`, stream, why, 'a snapshot is not used; the events are read instead', { reason, sequence });
  }

  #warn(cause: string, stream: StreamName, error: string, message: string, fields: object): void {
    const leftOut = this.#limiter.allow(cause);
    if (leftOut === undefined) return;
    const { type, key } = stream;
    this.#parts.log.warn({ type, key: safeText(key), error: safeText(error), leftOut, ...fields }, message);
  }
}

function idOf({ type, key }: StreamName): string {
  return `${type}/${key}`;
}
