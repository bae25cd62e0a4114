import { Decoder } from '../base/decoder.ts';
import { describeThrown } from '../base/errors.ts';
import type { LogRecord } from '../contract/commit-log.ts';
import { commitFormat, commitKinds, commitLimits, eventsInCommitMax, partsOfRecord } from './commit.ts';
import type { Commit } from './commit.ts';
import { ReadCommit, ReadEvent, unreadable } from './read-commit.ts';
import { positionOf } from './stored-event.ts';

/** Up to this size a record that has memory of its own is copied, which costs less than to look into that memory. */
const copyBytesMax = 4_096;

/**
 * Reads records that anybody may have written: structure and numbers are checked as they are read, so that bad ones cost no more than good ones
 * of their size. Throws `stream.corrupt`. What was read stays as it is when the next record is read.
 */
export class CommitReader {
  readonly #decoder = new Decoder(commitLimits);
  readonly #lazyDecoder = new Decoder(commitLimits);
  readonly #scratch = new Uint8Array(copyBytesMax);

  read(record: LogRecord): Commit {
    try {
      return this.#read(record);
    } catch (thrown) {
      throw unreadable(record.sequence, describeThrown(thrown));
    }
  }

  #read({ sequence, body }: LogRecord): Commit {
    const decoder = this.#decoder;
    const commit = new ReadCommit(body, this.#lazyDecoder);
    this.#begin(body);
    const parts = decoder.array();
    const format = decoder.value();
    if (format !== commitFormat) throw new RangeError(`it has the form ${Number(format)}, and this version reads the form ${commitFormat}`);
    const kind = commitKinds[this.#count()];
    if (kind === undefined || parts !== partsOfRecord) throw new RangeError('it is not a commit');
    commit.kind = kind;
    commit.sequence = sequence;
    commit.type = decoder.name();
    commit.keyFrom = decoder.position;
    decoder.skipText();
    commit.version = this.#count();
    commit.epoch = this.#count();
    commit.ownerFrom = decoder.position;
    decoder.skipText();
    commit.idFrom = decoder.position;
    decoder.skipText();
    commit.at = this.#time();
    commit.hashFrom = decoder.position;
    decoder.skipText();
    this.#events(commit);
    commit.notesFrom = decoder.skipBinary();
    decoder.finish();
    return commit;
  }

  #begin(body: Uint8Array): void {
    const { length } = body;
    if (length !== body.buffer.byteLength || length > copyBytesMax) return this.#decoder.begin(body, 0, length);
    this.#scratch.set(body);
    this.#decoder.begin(this.#scratch, 0, length);
  }

  #events(commit: ReadCommit): void {
    const decoder = this.#decoder;
    const count = decoder.array();
    if (count > eventsInCommitMax || count > commit.version) throw new RangeError('it has too many events');
    const first = commit.version - count + 1;
    for (let i = 0; i < count; i += 1) {
      if (decoder.array() !== 3) throw new RangeError('an event has another form');
      const name = decoder.name();
      const schema = this.#count();
      commit.events.push(new ReadEvent(commit, i, positionOf(commit.sequence, i), first + i, name, schema, decoder.value()));
    }
  }

  #count(): number {
    const value = this.#decoder.value();
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw new RangeError('a number is not a whole one');
    return value;
  }

  #time(): number {
    const value = this.#decoder.value();
    if (typeof value !== 'number' || !Number.isFinite(value)) throw new RangeError('a time is none');
    return value;
  }
}
