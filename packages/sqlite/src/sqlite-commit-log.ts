import {
  type AppendListener,
  type AppendOutcome,
  type Clock,
  type CommitLog,
  type LogAppend,
  type LogBatch,
  type LogRead,
  type StreamName,
} from '@perkey/core';
import type { GroupWriter } from './group-writer.ts';
import type { LogName } from './group.ts';
import type { LogReader } from './log-pages.ts';
import { closedError, readFailed } from './store-errors.ts';

/** Removed in one transaction. */
const removedAtOnce = 1_000;

export interface LogParts {
  readonly name: LogName;
  readonly reader: LogReader;
  readonly writer: GroupWriter;
  readonly clock: Clock;
  readonly bodyBytesMax: number;
}

/** One log of a file. Reads are made on the calling thread, a page at a time, and yield to the event loop between two pages. */
export class SqliteCommitLog implements CommitLog {
  readonly bodyBytesMax: number;
  readonly #name: LogName;
  readonly #reader: LogReader;
  readonly #writer: GroupWriter;
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();
  #closed = false;

  constructor({ name, reader, writer, clock, bodyBytesMax }: LogParts) {
    this.#name = name;
    this.#reader = reader;
    this.#writer = writer;
    this.#clock = clock;
    this.bodyBytesMax = bodyBytesMax;
  }

  append(append: LogAppend): Promise<AppendOutcome> {
    return new Promise((resolve) => this.send(append, { onOutcome: resolve }));
  }

  send(append: LogAppend, listener: AppendListener): void {
    const { length } = append.body;
    if (length <= this.bodyBytesMax) return this.#writer.send(this.#name, append, listener);
    listener.onOutcome({ kind: 'refused', reason: 'too_large', text: `the record has ${length} bytes, ${this.bodyBytesMax} fit` });
  }

  async *read(read: LogRead): AsyncGenerator<LogBatch, void, undefined> {
    const { signal, follow = false, batchMax } = read;
    const end = this.#last();
    const pages = this.#reader.pages(read);
    let after = read.after;
    let wasLive = false;
    while (!isAborted(signal)) {
      const upTo = follow ? this.#last() : end;
      const { records, through } = this.#look(() => pages.next(after, upTo, batchMax));
      const live = through >= this.#last();
      if (records.length > 0 || through > after || live !== wasLive) {
        yield { records, through, live };
        wasLive = live;
        after = through;
      }
      if (!follow && after >= end) return;
      if (live) await this.#untilMore(after, signal);
      if (isAborted(signal)) return;
      // A page is read without an end of the turn: a consumer that never waits must not keep the loop from everything else.
      await new Promise<void>((resolve) => this.#clock.defer(resolve));
    }
  }

  async last(): Promise<number> {
    return this.#last();
  }

  /** The file is the only copy. */
  barrier(): Promise<number> {
    return this.last();
  }

  /** Oldest first, so that the chain of what is left is whole at every moment. */
  async trim(stream: StreamName, before: number): Promise<void> {
    const doomed: number[] = [];
    const head = this.#look(() => this.#reader.head(stream));
    for (let at = head; at > 0;) {
      at = this.#look(() =>
        this.#reader.together(() => this.#walk(at, (sequence) => sequence < before && sequence !== head && doomed.push(sequence))),
      );
      if (at > 0) await new Promise<void>((resolve) => this.#clock.defer(resolve));
    }
    doomed.reverse();
    for (let i = 0; i < doomed.length; i += removedAtOnce) {
      await this.#writer.edit({ kind: 'removeRecords', log: this.#name, sequences: doomed.slice(i, i + removedAtOnce) }, removedAtOnce * 8);
    }
  }

  /** Some steps back along a chain; gives where it goes on, 0 at its end. */
  #walk(from: number, meet: (sequence: number) => void): number {
    let at = from;
    for (let step = 0; at > 0 && step < removedAtOnce; step += 1) {
      meet(at);
      at = this.#reader.previous(at);
    }
    return at;
  }

  /** Records were committed to this log. */
  wake(): void {
    for (const told of this.#waiting) told();
  }

  /** Reads under way reject. */
  close(): void {
    this.#closed = true;
    this.wake();
  }

  #last(): number {
    return this.#look(() => this.#reader.last());
  }

  /** What `look` finds in the file. Throws `store.unavailable`. */
  #look<T>(look: () => T): T {
    if (this.#closed) throw closedError();
    try {
      return look();
    } catch (error) {
      throw readFailed(error);
    }
  }

  /** Resolves once there is more than `after`, the signal aborted, or the store was closed. */
  async #untilMore(after: number, signal: AbortSignal | undefined): Promise<void> {
    let wake = (): void => {};
    const told = new Promise<void>((resolve) => (wake = resolve));
    this.#waiting.add(wake);
    signal?.addEventListener('abort', wake, { once: true });
    try {
      if (!isAborted(signal) && this.#last() <= after) await told;
    } finally {
      this.#waiting.delete(wake);
      signal?.removeEventListener('abort', wake);
    }
  }
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}
