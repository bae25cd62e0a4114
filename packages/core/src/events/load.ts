import type { Clock } from '../base/clock.ts';
import { digestHex } from '../base/digest.ts';
import { PerkeyError } from '../base/errors.ts';
import type { CommitLog, LogBatch, LogRead, StreamName } from '../contract/commit-log.ts';
import { noHead } from './commit.ts';
import type { Commit, StreamHead } from './commit.ts';
import type { CommitReader } from './commit-reader.ts';
import type { EventMetrics } from './event-metrics.ts';
import { unreadable } from './read-commit.ts';
import { StreamCheck } from './stream-check.ts';

const batchMax = 500;

export interface LoadOptions {
  /** The head after the last commit that is known already. Default: none is. */
  readonly from?: StreamHead | undefined;
  /** `from` comes from elsewhere than the log: the record that it names is read too and has to be that one. Else rejects with `stream.corrupt`. */
  readonly confirm?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  /** As for a read of the log. */
  readonly many?: boolean | undefined;
  /** As for a read of the log: how far it has to be where it says that the stream is empty. */
  readonly reached?: LogRead['reached'];
  /** A read that was begun already, for the same `from` and `confirm`. */
  readonly begun?: BegunRead | undefined;
}

/**
 * A read of one stream that is under way before anybody takes what it gives. It is used once, or dropped. Invariant: it stands for one that
 * begins later only where nothing may have been stored in between that has to be seen; so it is begun where the later one's caller begins.
 */
export class BegunRead implements AsyncIterable<LogBatch> {
  readonly after: number;
  readonly #batches: AsyncIterator<LogBatch>;
  #first: Promise<IteratorResult<LogBatch>> | undefined;

  constructor(log: CommitLog, read: Omit<LogRead, 'batchMax'>) {
    this.after = read.after;
    this.#batches = log.read({ ...read, batchMax })[Symbol.asyncIterator]();
    this.#first = this.#batches.next();
    this.#first.catch(() => {});
  }

  [Symbol.asyncIterator](): AsyncIterator<LogBatch> {
    const next = (): Promise<IteratorResult<LogBatch>> => {
      const first = this.#first;
      this.#first = undefined;
      return first ?? this.#batches.next();
    };
    return { next, return: () => this.#end() };
  }

  /** Ends it, at the latest when what it waits for has come. */
  drop(): void {
    this.#end().catch(() => {});
  }

  async #end(): Promise<IteratorResult<LogBatch>> {
    return (await this.#batches.return?.()) ?? { done: true, value: undefined };
  }
}

export interface LoadParts {
  readonly log: CommitLog;
  readonly reader: CommitReader;
  readonly metrics: EventMetrics;
  readonly clock: Clock;
}

export async function loadStream(
  parts: LoadParts,
  stream: StreamName,
  visit: (commit: Commit) => void,
  options: LoadOptions,
): Promise<StreamHead> {
  const { metrics, clock } = parts;
  const start = clock.now();
  metrics.loads.inc();
  try {
    return await load(parts, stream, visit, options);
  } catch (thrown) {
    metrics.loadFailures.inc();
    throw thrown;
  } finally {
    metrics.loadSeconds.observe((clock.now() - start) / 1_000);
  }
}

async function load(
  { log, reader, metrics }: LoadParts,
  stream: StreamName,
  visit: (commit: Commit) => void,
  { from = noHead, confirm = false, signal, many, reached, begun }: LoadOptions,
): Promise<StreamHead> {
  const check = new StreamCheck(stream, from, false);
  let isConfirmed = !confirm || from.sequence === 0;
  const after = isConfirmed ? from.sequence : from.sequence - 1;
  const read = begun?.after === after ? begun : log.read({ stream, after, batchMax, signal, many, reached });
  for await (const { records } of read) {
    metrics.readRecords.inc(records.length);
    for (let i = 0; i < records.length; i += 1) {
      const record = records[i] as (typeof records)[number];
      if (!isConfirmed) {
        if (record.sequence !== from.sequence || digestHex(record.body) !== from.hash) break;
        isConfirmed = true;
        continue;
      }
      const commit = reader.read(record);
      const problem = check.take(commit);
      if (problem !== undefined) throw unreadable(record.sequence, problem);
      visit(commit);
    }
    if (!isConfirmed) break;
  }
  if (signal?.aborted === true) throw new PerkeyError('store.unavailable', 'Reading the stream was given up.', { executed: 'no' });
  if (!isConfirmed) throw unreadable(from.sequence, 'it is not in the log, or another one is');
  return check.head;
}
