import type { AppendListener, AppendOutcome, CommitLog, LogAppend, LogBatch, LogRead, StreamName } from '../contract/commit-log.ts';
import type { LogTable } from './log-table.ts';
import type { StoreAnswers } from './store-answers.ts';

/** One node's view of a log table. An append takes effect at once; its answer comes soon after the step that asked, all else a turn of the event loop later. */
export class MemoryCommitLog implements CommitLog {
  readonly bodyBytesMax: number;
  readonly #table: LogTable;
  readonly #answers: StoreAnswers;

  constructor(table: LogTable, answers: StoreAnswers, bodyBytesMax: number) {
    this.#table = table;
    this.#answers = answers;
    this.bodyBytesMax = bodyBytesMax;
  }

  append(append: LogAppend): Promise<AppendOutcome> {
    return new Promise((resolve) => this.send(append, { onOutcome: resolve }));
  }

  send(append: LogAppend, listener: AppendListener): void {
    if (this.#answers.closed) return listener.onOutcome({ kind: 'refused', reason: 'unavailable', text: 'the store was closed' });
    const outcome = this.#append(append);
    this.#answers.tellSoon(() => listener.onOutcome(outcome));
  }

  async *read(read: LogRead): AsyncGenerator<LogBatch, void, undefined> {
    const { signal, follow = false, batchMax } = read;
    const end = await this.#answers.answer(() => this.#table.last);
    let after = read.after;
    let wasLive = false;
    while (!isAborted(signal)) {
      const last = follow ? this.#table.last : end;
      const { records, through } = this.#table.records(read, after, last, batchMax);
      const live = through >= this.#table.last;
      if (records.length > 0 || through > after || live !== wasLive) {
        yield { records, through, live };
        wasLive = live;
        after = through;
      }
      if (!follow && after >= end) return;
      if (live) await this.#untilMore(after, signal);
      else await this.#answers.answer(() => undefined);
    }
  }

  last(): Promise<number> {
    return this.#answers.answer(() => this.#table.last);
  }

  barrier(): Promise<number> {
    return this.last();
  }

  trim(stream: StreamName, before: number): Promise<void> {
    return this.#answers.answer(() => this.#table.trim(stream, before));
  }

  #append(append: LogAppend): AppendOutcome {
    const { length } = append.body;
    if (length <= this.bodyBytesMax) return this.#table.append(append);
    return { kind: 'refused', reason: 'too_large', text: `the record has ${length} bytes, ${this.bodyBytesMax} fit` };
  }

  /** Resolves a turn of the event loop after there is more, or the signal aborted; rejects when the store is closed. */
  async #untilMore(after: number, signal: AbortSignal | undefined): Promise<void> {
    let wake = (): void => {};
    const told = new Promise<void>((resolve) => (wake = resolve));
    this.#table.observe(wake);
    signal?.addEventListener('abort', wake, { once: true });
    this.#answers.onClose(wake);
    try {
      if (this.#table.last <= after && !isAborted(signal) && !this.#answers.closed) await told;
    } finally {
      this.#table.unobserve(wake);
      signal?.removeEventListener('abort', wake);
      this.#answers.offClose(wake);
    }
    if (!isAborted(signal)) await this.#answers.answer(() => undefined);
  }
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}
