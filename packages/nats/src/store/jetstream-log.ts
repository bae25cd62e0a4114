import type { AppendListener, AppendOutcome, CommitLog, LogAppend, LogBatch, LogRead, StreamName } from '@perkey/core';
import { unavailable } from '../store-api.ts';
import { AckReader } from './append-answer.ts';
import type { AppendChannel, AppendTarget } from './append-channel.ts';
import { eraseBefore } from './erase.ts';
import { LogBarrier } from './log-barrier.ts';
import { subjectFilter } from './log-filter.ts';
import { isAborted, lastOf, readSessions, readStream } from './log-reader.ts';
import type { ReadPlace } from './log-reader.ts';
import { lastSequence } from './store-link.ts';
import type { StoreLink } from './store-link.ts';
import { StreamSubjects } from './store-names.ts';
import type { LogNames } from './store-names.ts';
import { ToldSequences } from './told.ts';

export interface LogParts {
  readonly link: StoreLink;
  readonly channel: AppendChannel;
  readonly names: LogNames;
  /** See `ReadPlace`. */
  readonly keepsLast: boolean;
  readonly bodyBytesMax: number;
  readonly pullBytesMax: number;
  /** Why nothing may be appended now; undefined where it may. */
  readonly refusal: () => string | undefined;
  readonly isClosed: () => boolean;
}

/** A log in one stream of NATS: one message is one record. */
export class JetStreamLog implements CommitLog {
  readonly bodyBytesMax: number;
  readonly #parts: LogParts;
  readonly #subjects: StreamSubjects;
  readonly #told = new ToldSequences();
  readonly #target: AppendTarget;
  readonly #place: ReadPlace;
  readonly #barrier: LogBarrier;

  constructor(parts: LogParts) {
    const { names, keepsLast, link, pullBytesMax, isClosed } = parts;
    this.bodyBytesMax = parts.bodyBytesMax;
    this.#parts = parts;
    this.#subjects = new StreamSubjects(names);
    this.#target = {
      acks: new AckReader(names.natsStream),
      onAppended: (subject, sequence) => this.#told.note(subject, sequence),
      onNobody: () => link.onMissing(),
    };
    this.#barrier = new LogBarrier({ ...parts, target: this.#target });
    this.#place = { link, names, keepsLast, told: this.#told, pullBytesMax, isClosed };
  }

  append(append: LogAppend): Promise<AppendOutcome> {
    return new Promise((resolve) => this.send(append, { onOutcome: resolve }));
  }

  send({ stream, expectedSequence, body }: LogAppend, listener: AppendListener): void {
    const text = this.#parts.refusal();
    if (text !== undefined) return listener.onOutcome({ kind: 'refused', reason: 'unavailable', text });
    if (body.length > this.bodyBytesMax) {
      const large = `the record has ${body.length} bytes, ${this.bodyBytesMax} fit`;
      return listener.onOutcome({ kind: 'refused', reason: 'too_large', text: large });
    }
    const subject = this.#subjects.of(stream);
    if (subject === undefined)
      return listener.onOutcome({ kind: 'refused', reason: 'unavailable', text: 'an actor type is 1 to 64 of A-Z a-z 0-9 _ -' });
    this.#parts.channel.send(this.#target, subject, expectedSequence, body, listener);
  }

  async *read(read: LogRead): AsyncGenerator<LogBatch, void, undefined> {
    this.#checkOpen();
    const filter = subjectFilter(this.#parts.names, this.#subjects, read);
    if (filter.is === 'nothing') {
      if (read.follow === true) yield* this.#nothingForEver(read);
    } else if (filter.is === 'stream' && read.follow !== true) yield* readStream(this.#place, filter.subject, read);
    else yield* readSessions(this.#place, filter, read);
  }

  async last(): Promise<number> {
    await this.#parts.link.ready();
    return lastSequence(this.#parts.link, this.#parts.names.natsStream);
  }

  barrier(): Promise<number> {
    return this.#barrier.ask();
  }

  async trim(stream: StreamName, before: number): Promise<void> {
    const subject = this.#subjects.of(stream);
    if (subject === undefined) return;
    await this.#parts.link.ready();
    const last = await lastOf(this.#place, subject);
    if (last !== undefined) await eraseBefore(this.#place, subject, Math.min(before, last.sequence));
  }

  #checkOpen(): void {
    if (this.#parts.isClosed()) throw unavailable('it was closed');
  }

  async *#nothingForEver({ after, signal }: LogRead): AsyncGenerator<LogBatch, void, undefined> {
    if (isAborted(signal)) return;
    yield { records: [], through: after, live: true };
    const { link } = this.#parts;
    while (!this.#parts.isClosed()) {
      if (isAborted(signal)) return;
      await new Promise<void>((resolve) => {
        const done = (): void => {
          takeBack();
          signal?.removeEventListener('abort', done);
          resolve();
        };
        const takeBack = link.onLost(done);
        signal?.addEventListener('abort', done, { once: true });
      });
    }
  }
}
