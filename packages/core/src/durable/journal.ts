import type { AppendOutcome, CommitLog, StreamName } from '../contract/commit-log.ts';
import { digestHex } from '../base/digest.ts';
import type { Commit, CommitDraft, CommitKind, KeptState, StreamHead } from '../events/commit.ts';
import { CommitReader } from '../events/commit-reader.ts';
import { CommitWriter } from '../events/commit-writer.ts';

const batchMax = 256;

/** Whose records they are, and under which epoch they are written. */
export interface Subject {
  readonly stream: StreamName;
  readonly shard: number;
  readonly epoch: number;
}

/** `moved`: this node may not write for the shard; nothing was sent. */
export type Appended =
  | { readonly kind: 'appended'; readonly head: StreamHead }
  | { readonly kind: 'moved' }
  | Exclude<AppendOutcome, { readonly kind: 'appended' }>;

const moved: Appended = Object.freeze({ kind: 'moved' });

export interface JournalOptions {
  readonly log: CommitLog;
  /** Node and incarnation. */
  readonly owner: string;
  readonly bytesMax: number;
  /** The lease, asked in the step in which a record goes to the log. */
  readonly mayAct: () => boolean;
  /** Asked before: the store may hold records of the shard. */
  readonly mayStore: (shard: number, epoch: number) => true | Promise<boolean>;
}

/** The records of one log, written and read as commits. */
export class Journal {
  readonly #log: CommitLog;
  readonly #owner: string;
  readonly #writer: CommitWriter;
  readonly #reader: CommitReader = new CommitReader();

  readonly #o: JournalOptions;

  constructor(options: JournalOptions) {
    const { log, owner, bytesMax } = options;
    this.#o = options;
    this.#log = log;
    this.#owner = owner;
    this.#writer = new CommitWriter(Math.min(bytesMax, log.bodyBytesMax));
  }

  get owner(): string {
    return this.#owner;
  }

  /** Encodes a record. Throws `commit.too_large` or `payload.not_plain`. */
  encode(kind: CommitKind, { stream, epoch }: Subject, head: StreamHead, draft: CommitDraft, kept?: KeptState): Uint8Array {
    return this.#writer.write({ kind, stream, head, author: { epoch, owner: this.#owner }, draft, kept });
  }

  /** Never rejects. `version`: of the stream's last event if it is appended. */
  append(subject: Subject, expectedSequence: number, body: Uint8Array, version: number): Promise<Appended> {
    const mayStore = this.#o.mayStore(subject.shard, subject.epoch);
    if (mayStore === true) return this.#send(subject, expectedSequence, body, version);
    return mayStore.then(
      (isAllowed) => (isAllowed ? this.#send(subject, expectedSequence, body, version) : moved),
      () => moved,
    );
  }

  #send({ stream, shard, epoch }: Subject, expectedSequence: number, body: Uint8Array, version: number): Promise<Appended> {
    if (!this.#o.mayAct()) return Promise.resolve(moved);
    const owner = this.#owner;
    return this.#log.append({ stream, shard, expectedSequence, epoch, body }).then((outcome) => {
      if (outcome.kind !== 'appended') return outcome;
      const head = { sequence: outcome.sequence, version, epoch, owner, hash: digestHex(body), ended: false };
      return { kind: 'appended', head };
    });
  }

  /** The stream's records of a higher sequence, oldest first. Rejects with `store.unavailable` and `stream.corrupt`. */
  async *read(stream: StreamName, after: number, signal: AbortSignal): AsyncGenerator<Commit, void, undefined> {
    for await (const { records } of this.#log.read({ stream, after, batchMax, signal })) {
      for (const record of records) yield this.#reader.read(record);
    }
  }
}

/** The head of a stream whose last record is this one. */
export function headOf(commit: Commit): StreamHead {
  const { sequence, version, epoch, owner, kind, body } = commit;
  return { sequence, version, epoch, owner, hash: digestHex(body), ended: kind === 'tombstone' };
}
