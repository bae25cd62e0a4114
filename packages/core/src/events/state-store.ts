import type { Clock } from '../base/clock.ts';
import { resolveOptions } from '../base/options.ts';
import type { CommitLog, LogRead, LogRecord, StreamName } from '../contract/commit-log.ts';
import { Appender, type ResultListener } from './appender.ts';
import type { AppendResult } from './append-result.ts';
import { noHead } from './commit.ts';
import type { Commit, CommitAuthor, KeptState, StreamHead } from './commit.ts';
import { CommitReader } from './commit-reader.ts';
import { CommitIds } from './commit-ids.ts';
import { EventMetrics } from './event-metrics.ts';
import type { EventStoreParts } from './event-store.ts';
import { unreadable } from './read-commit.ts';
import { eventOptions } from './settings.ts';
import { settleState } from './settle-state.ts';
import type { StateSettlement } from './settle-state.ts';
import { StreamCheck } from './stream-check.ts';

/** A whole state, to be stored in the place of the one before. */
export interface StateDraft extends KeptState {
  /** Unique. */
  readonly id: string;
  /** Ms since 1970. */
  readonly at: number;
}

/** The last state of an actor, as it was stored. */
export interface StoredState extends KeptState {
  readonly head: StreamHead;
  readonly id: string;
  readonly at: number;
  /** Of the state that this one took the place of; '' for the first. */
  readonly previousHash: string;
}

type StateStoreParts = EventStoreParts & Required<Pick<EventStoreParts, 'clock' | 'random' | 'metrics'>>;

/** States of actors that keep no history: each takes the place of the one before, under the same rule of head and epoch as an event. */
export class StateStore extends CommitIds {
  readonly #log: CommitLog;
  readonly #clock: Clock;
  readonly #metrics: EventMetrics;
  readonly #appender: Appender;
  readonly #reader = new CommitReader();
  readonly #settleMs: number;

  constructor({ log, clock, random, metrics, shards, options = {} }: StateStoreParts) {
    super(random);
    const { eventsPerCommitMax, commitBytesMax, commitSettleMs } = eventOptions;
    const settings = resolveOptions({ eventsPerCommitMax, commitBytesMax, commitSettleMs }, options);
    this.#log = log;
    this.#clock = clock;
    this.#settleMs = settings.commitSettleMs;
    this.#metrics = new EventMetrics(metrics, 'states');
    const { commitBytesMax: bytesMax } = settings;
    this.#appender = new Appender({ log, clock, metrics: this.#metrics, shards, eventsMax: 0, bytesMax });
  }

  /** Stores the state if `head` is still the stream's last record. A new owner's first save is also its fence. Never rejects. */
  save(stream: StreamName, head: StreamHead, author: CommitAuthor, { id, at, state, bookkeeping }: StateDraft): Promise<AppendResult> {
    return this.#appender.append({ kind: 'state', stream, head, author, draft: { id, at, events: [] }, kept: { state, bookkeeping } });
  }

  /** The same at `now` (monotonic ms) without a promise: the listener is told once, perhaps before this returns. */
  send(
    stream: StreamName,
    head: StreamHead,
    author: CommitAuthor,
    { id, at, state, bookkeeping }: StateDraft,
    now: number,
    listener: ResultListener,
  ): void {
    const record = { kind: 'state', stream, head, author, draft: { id, at, events: [] }, kept: { state, bookkeeping } } as const;
    this.#appender.send(record, now, listener);
  }

  /**
   * The last state; undefined where none was stored, which with `reached` is said only by a log that has reached that sequence. Rejects with
   * `stream.corrupt` and `store.unavailable`.
   */
  async load(stream: StreamName, reached?: LogRead['reached']): Promise<StoredState | undefined> {
    const start = this.#clock.now();
    this.#metrics.loads.inc();
    try {
      return await this.#load(stream, reached);
    } catch (thrown) {
      this.#metrics.loadFailures.inc();
      throw thrown;
    } finally {
      this.#metrics.loadSeconds.observe((this.#clock.now() - start) / 1_000);
    }
  }

  /**
   * What became of a save that was answered `unknown` or `conflict`: it is made again until the store says, at the latest at `deadline`
   * (monotonic ms; by default after `commitSettleMs`). Of all attempts at most one is applied, since they expect the same.
   */
  async settle(
    stream: StreamName,
    head: StreamHead,
    author: CommitAuthor,
    draft: StateDraft,
    deadline?: number,
    isStoredBefore?: (latest: StoredState) => boolean | undefined,
  ): Promise<StateSettlement> {
    const settlement = await settleState({
      store: this,
      clock: this.#clock,
      stream,
      head,
      author,
      draft,
      isStoredBefore,
      deadline: deadline ?? this.#clock.now() + this.#settleMs,
    });
    this.#metrics.settleEnded(settlement.kind);
    return settlement;
  }

  async #load(stream: StreamName, reached: LogRead['reached']): Promise<StoredState | undefined> {
    let last: LogRecord | undefined;
    for await (const { records } of this.#log.read({ stream, after: 0, batchMax: 10, reached })) {
      this.#metrics.readRecords.inc(records.length);
      last = records.at(-1) ?? last;
    }
    if (last === undefined) return undefined;
    const commit = this.#reader.read(last);
    if (commit.kind !== 'state' || commit.type !== stream.type || commit.key !== stream.key) {
      throw unreadable(commit.sequence, 'it is not the state of this actor');
    }
    return stored(stream, commit);
  }
}

function stored(stream: StreamName, commit: Commit): StoredState {
  const check = new StreamCheck(stream, noHead, false);
  check.take(commit);
  const { id, at, previousHash } = commit;
  return { head: check.head, id, at, previousHash, ...commit.state() };
}
