import { PerkeyError } from '../base/errors.ts';
import type { CommitLog, LogRecord, StreamName } from '../contract/commit-log.ts';
import { noHead } from './commit.ts';
import type { Commit, StreamHead } from './commit.ts';
import type { CommitReader } from './commit-reader.ts';
import { StreamCheck } from './stream-check.ts';

const batchMax = 500;
/** More problems than these are only counted. */
const problemsMax = 100;

/** Who wrote a stretch of a stream. */
export interface StreamEpoch {
  readonly epoch: number;
  readonly owner: string;
  /** Sequences of its first and last record. */
  readonly from: number;
  readonly to: number;
}

export interface StreamProblem {
  readonly sequence: number;
  readonly what: string;
}

/** What reading a whole stream has shown. */
export interface StreamReport {
  readonly records: number;
  readonly events: number;
  readonly head: StreamHead;
  /** In the order of the stream. */
  readonly epochs: readonly StreamEpoch[];
  readonly problemCount: number;
  /** The first 100 of them. None: each record is readable, follows the one before it by version and hash, and no epoch has two owners or falls. */
  readonly problems: readonly StreamProblem[];
}

/** Rejects with `store.unavailable` only. */
export async function verifyStream(log: CommitLog, reader: CommitReader, stream: StreamName): Promise<StreamReport> {
  const verifier = new Verifier(reader, stream);
  for await (const { records } of log.read({ stream, after: 0, batchMax })) {
    for (const record of records) verifier.take(record);
  }
  return verifier.report();
}

class Verifier {
  readonly #reader: CommitReader;
  readonly #check: StreamCheck;
  readonly #epochs: StreamEpoch[] = [];
  readonly #owners = new Map<number, string>();
  readonly #problems: StreamProblem[] = [];
  #problemCount = 0;
  #records = 0;
  #events = 0;

  constructor(reader: CommitReader, stream: StreamName) {
    this.#reader = reader;
    this.#check = new StreamCheck(stream, noHead, true);
  }

  take(record: LogRecord): void {
    this.#records += 1;
    let commit: Commit;
    try {
      commit = this.#reader.read(record);
    } catch (thrown) {
      return this.#report(record.sequence, thrown instanceof PerkeyError ? thrown.message : 'it cannot be read');
    }
    this.#events += commit.events.length;
    const problem = this.#check.take(commit);
    if (problem !== undefined) this.#report(commit.sequence, problem);
    this.#author(commit);
  }

  report(): StreamReport {
    return {
      records: this.#records,
      events: this.#events,
      head: this.#check.head,
      epochs: this.#epochs,
      problemCount: this.#problemCount,
      problems: this.#problems,
    };
  }

  #author({ epoch, owner, sequence }: Commit): void {
    const last = this.#epochs.at(-1);
    if (last?.epoch === epoch && last.owner === owner) {
      this.#epochs[this.#epochs.length - 1] = { ...last, to: sequence };
      return;
    }
    this.#epochs.push({ epoch, owner, from: sequence, to: sequence });
    const other = this.#owners.get(epoch);
    if (other !== undefined && other !== owner) this.#report(sequence, `the epoch ${epoch} has two owners`);
    this.#owners.set(epoch, owner);
  }

  #report(sequence: number, what: string): void {
    this.#problemCount += 1;
    if (this.#problems.length < problemsMax) this.#problems.push({ sequence, what });
  }
}
