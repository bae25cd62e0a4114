import { type Clock, systemClock } from '../base/clock.ts';
import { type Metrics, noMetrics } from '../base/metrics.ts';
import { resolveOptions } from '../base/options.ts';
import type { GivenOptions } from '../base/options.ts';
import { type Random, systemRandom } from '../base/random.ts';
import { PerkeyError } from '../base/errors.ts';
import type { CommitLog, StreamName } from '../contract/commit-log.ts';
import { Appender, type ResultListener } from './appender.ts';
import type { AppendResult } from './append-result.ts';

import type { Commit, CommitAuthor, CommitDraft, StreamHead } from './commit.ts';
import { CommitIds } from './commit-ids.ts';
import { CommitReader } from './commit-reader.ts';
import { EventMetrics } from './event-metrics.ts';
import { readEvents } from './event-reads.ts';
import type { EventBatch, EventRead } from './event-reads.ts';
import { BegunRead, loadStream } from './load.ts';
import type { LoadOptions } from './load.ts';
import { eventOptions } from './settings.ts';
import type { EventSettings } from './settings.ts';
import { settle } from './settle.ts';
import type { Settlement } from './settle.ts';
import { positionAfter } from './stored-event.ts';
import { verifyStream } from './verify.ts';
import type { StreamReport } from './verify.ts';

export interface EventStoreParts {
  readonly log: CommitLog;
  readonly clock?: Clock;
  readonly random?: Random;
  /** Default: nothing is counted. */
  readonly metrics?: Metrics;
  /** Of the cluster; the same for the life of the log. */
  readonly shards: number;
  readonly options?: GivenOptions<Pick<typeof eventOptions, 'eventsPerCommitMax' | 'commitBytesMax' | 'commitSettleMs'>> | undefined;
}

/**
 * The histories of durable actors in a log: one command, one commit, one record. What comes in and goes out passes here and nowhere else, so
 * that records are written and read in one form, and no append is made without the head and the epoch that it builds on.
 */
export class EventStore extends CommitIds {
  readonly #log: CommitLog;
  readonly #clock: Clock;
  readonly #appender: Appender;
  readonly #reader = new CommitReader();
  readonly #metrics: EventMetrics;
  readonly #settings: Pick<EventSettings, 'eventsPerCommitMax' | 'commitBytesMax' | 'commitSettleMs'>;

  constructor({ log, clock = systemClock, random = systemRandom, metrics = noMetrics, shards, options = {} }: EventStoreParts) {
    super(random);
    const { eventsPerCommitMax, commitBytesMax, commitSettleMs } = eventOptions;
    this.#settings = resolveOptions({ eventsPerCommitMax, commitBytesMax, commitSettleMs }, options);
    this.#log = log;
    this.#clock = clock;
    this.#metrics = new EventMetrics(metrics, 'events');
    const { eventsPerCommitMax: eventsMax, commitBytesMax: bytesMax } = this.#settings;
    this.#appender = new Appender({ log, clock, metrics: this.#metrics, shards, eventsMax, bytesMax });
  }

  /** Stores what a command decided, whole or not at all, if `head` is still the stream's last record. Never rejects. */
  append(stream: StreamName, head: StreamHead, author: CommitAuthor, draft: CommitDraft): Promise<AppendResult> {
    return this.#appender.append({ kind: 'commit', stream, head, author, draft });
  }

  /** The same at `now` (monotonic ms) without a promise: the listener is told once, perhaps before this returns. */
  send(stream: StreamName, head: StreamHead, author: CommitAuthor, draft: CommitDraft, now: number, listener: ResultListener): void {
    this.#appender.send({ kind: 'commit', stream, head, author, draft, kept: undefined }, now, listener);
  }

  /** Stores nothing but the author's epoch: whatever was sent before with the same head, or comes late, is in the stream before it or never. */
  fence(stream: StreamName, head: StreamHead, author: CommitAuthor): Promise<AppendResult> {
    return this.#appender.append({ kind: 'fence', stream, head, author, draft: this.#empty() });
  }

  /** Ends the stream for good. Its events stay until they are discarded. */
  tombstone(stream: StreamName, head: StreamHead, author: CommitAuthor): Promise<AppendResult> {
    return this.#appender.append({ kind: 'tombstone', stream, head, author, draft: this.#empty() });
  }

  /** Removes the events of a stream that has ended; the tombstone stays. Whoever needs them reads and keeps them before. */
  discard(stream: StreamName, head: StreamHead): Promise<void> {
    if (head.ended) return this.#log.trim(stream, head.sequence);
    return Promise.reject(new PerkeyError('stream.corrupt', 'Only a stream that has ended with a tombstone is discarded.'));
  }

  /**
   * Gives the commits of the stream behind `from` to `visit`, one by one, and resolves to the head after them. Rejects with `stream.corrupt` when
   * they do not fit together, with `store.unavailable`, and with what `visit` throws.
   */
  load(stream: StreamName, visit: (commit: Commit) => void, options: LoadOptions = {}): Promise<StreamHead> {
    return loadStream({ log: this.#log, reader: this.#reader, metrics: this.#metrics, clock: this.#clock }, stream, visit, options);
  }

  /** Begins the read of a load from the head at `sequence`, of which nothing else is known yet, with the record there. */
  begin(stream: StreamName, sequence: number, options: Pick<LoadOptions, 'signal' | 'many' | 'reached'>): BegunRead {
    return new BegunRead(this.#log, { ...options, stream, after: sequence - 1 });
  }

  /**
   * What became of a commit that was answered `unknown` or `conflict`, at the latest at `deadline` (monotonic ms; by default after
   * `commitSettleMs`). Afterwards it is certain, unless the answer is `unknown`.
   */
  settle(stream: StreamName, head: StreamHead, author: CommitAuthor, commitId: string, deadline?: number): Promise<Settlement> {
    const { commitSettleMs } = this.#settings;
    return settle({
      store: this,
      clock: this.#clock,
      metrics: this.#metrics,
      stream,
      head,
      author,
      commitId,
      deadline: deadline ?? this.#clock.now() + commitSettleMs,
    });
  }

  /** Events of many streams in the order in which they were stored. Ends with what there was at its beginning. */
  readAll(read: EventRead = {}): AsyncGenerator<EventBatch, void, undefined> {
    return readEvents(this.#log, this.#reader, this.#metrics, read, false);
  }

  /** The same, and goes on with what is stored later; `live` says when it has caught up. Whoever is slow holds it back. */
  subscribe(read: EventRead = {}): AsyncGenerator<EventBatch, void, undefined> {
    return readEvents(this.#log, this.#reader, this.#metrics, read, true);
  }

  /** A position behind everything that is stored. May lag. Rejects with `store.unavailable`. */
  async end(): Promise<number> {
    return positionAfter(await this.#log.last());
  }

  /** A position behind everything that was acknowledged to anybody before the call. Rejects with `store.unavailable` or `store.full`. */
  async barrier(): Promise<number> {
    return positionAfter(await this.#log.barrier());
  }

  /** Reads the whole stream and says what is wrong with it. */
  verify(stream: StreamName): Promise<StreamReport> {
    return verifyStream(this.#log, this.#reader, stream);
  }

  #empty(): CommitDraft {
    return { id: this.newCommitId(), at: this.#clock.wall(), events: [] };
  }
}
