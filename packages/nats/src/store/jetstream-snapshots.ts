import { PerkeyError } from '@perkey/core';
import type { Snapshot, SnapshotStore, StreamName } from '@perkey/core';
import { setNewest } from '@perkey/core/internal';
import { unavailable } from '../store-api.ts';
import { AckReader } from './append-answer.ts';
import type { AppendChannel, AppendTarget } from './append-channel.ts';
import { decodeSnapshot, encodeSnapshot, othersMax } from './snapshot-form.ts';
import type { SnapshotMessage, SnapshotPlace } from './snapshot-form.ts';
import { eraseMessage, getMessage } from './store-link.ts';
import type { StoreLink } from './store-link.ts';
import { StreamSubjects } from './store-names.ts';
import type { LogNames } from './store-names.ts';

/** Others that save for the same stream at the same time are met so often before this one is given up; it only shortens replay. */
const attemptsMax = 4;
/** Subjects of which the last message is remembered. */
const rememberedMax = 16_384;

export interface SnapshotParts {
  readonly link: StoreLink;
  readonly channel: AppendChannel;
  readonly names: LogNames;
  readonly bodyBytesMax: number;
}

/** The last message under a subject. */
interface Latest extends Omit<SnapshotMessage, 'body'> {
  readonly message: number;
}

interface ReadLatest extends Latest, SnapshotMessage {}

/**
 * Snapshots of one stream are messages under one subject. The last one says where the others are that count, so that all are read in two
 * round trips; it is written by compare-and-set, so that none is lost to another node that saves at the same time. Who saves goes by the last message
 * that it wrote itself: where that is no longer the last one, the comparison says so, and it is read.
 */
export class JetStreamSnapshots implements SnapshotStore {
  readonly bodyBytesMax: number;
  readonly #parts: SnapshotParts;
  readonly #subjects: StreamSubjects;
  readonly #target: AppendTarget;
  /** By subject, what this object wrote last. */
  readonly #written = new Map<string, Latest>();

  constructor(parts: SnapshotParts) {
    this.bodyBytesMax = parts.bodyBytesMax;
    this.#parts = parts;
    this.#subjects = new StreamSubjects(parts.names);
    this.#target = {
      acks: new AckReader(parts.names.natsStream),
      onAppended: () => {},
      onNobody: () => parts.link.onMissing(),
    };
  }

  async save(stream: StreamName, { sequence, body }: Snapshot, kept: number): Promise<void> {
    if (body.length > this.bodyBytesMax) {
      const text = `the snapshot has ${body.length} bytes, ${this.bodyBytesMax} fit`;
      throw new PerkeyError('payload.too_large', text, { details: { bytes: body.length, bytesMax: this.bodyBytesMax } });
    }
    const subject = this.#subject(stream);
    await this.#parts.link.ready();
    for (let attempt = 1; attempt <= attemptsMax; attempt += 1) {
      const latest: Latest | undefined = this.#takeWritten(subject) ?? (await this.#latest(subject));
      const others = latest === undefined ? [] : [{ sequence: latest.sequence, message: latest.message }, ...latest.others];
      const rest = others.filter((other) => other.sequence !== sequence).toSorted((a, b) => b.sequence - a.sequence);
      const count = Math.min(Math.max(1, kept), othersMax) - 1;
      // As many newer ones are there as may be kept.
      if (rest.filter((other) => other.sequence > sequence).length > count) return;
      const staying = rest.slice(0, count);
      const message = encodeSnapshot({ sequence, others: staying, body });
      const outcome = await this.#parts.channel.append(this.#target, subject, latest?.message ?? 0, message);
      if (outcome.kind === 'conflict') continue;
      if (outcome.kind !== 'appended') throw unavailable(outcome.text);
      setNewest(this.#written, subject, { sequence, others: staying, message: outcome.sequence }, rememberedMax);
      return this.#erase(others.filter((other) => !staying.includes(other)));
    }
  }

  async load(stream: StreamName, max: number = othersMax + 1): Promise<readonly Snapshot[]> {
    const subject = this.#subject(stream);
    await this.#parts.link.ready();
    const latest = await this.#latest(subject);
    if (latest === undefined) return [];
    const own = { sequence: latest.sequence, message: latest.message };
    const wanted = [own, ...latest.others].toSorted((a, b) => b.sequence - a.sequence).slice(0, max);
    const get = async (place: SnapshotPlace): Promise<Snapshot | undefined> =>
      place === own ? { sequence: own.sequence, body: latest.body } : this.#at(place, subject);
    const found = await Promise.all(wanted.map(get));
    return found.filter((snapshot) => snapshot !== undefined);
  }

  async forget(stream: StreamName): Promise<void> {
    const subject = this.#subject(stream);
    const { link, names } = this.#parts;
    await link.ready();
    for (let from = 1; ;) {
      const found = await getMessage(link, names.natsStream, { seq: from, next_by_subj: subject });
      if (found === undefined) return;
      await eraseMessage(link, names.natsStream, found.sequence);
      from = found.sequence + 1;
    }
  }

  #subject(stream: StreamName): string {
    const subject = this.#subjects.of(stream);
    if (subject === undefined) throw new PerkeyError('options.invalid', 'an actor type is 1 to 64 of A-Z a-z 0-9 _ -');
    return subject;
  }

  /** Once: who was told that it is not the last one reads. */
  #takeWritten(subject: string): Latest | undefined {
    const written = this.#written.get(subject);
    this.#written.delete(subject);
    return written;
  }

  /** A message of another form counts as none, but for its place. */
  async #latest(subject: string): Promise<ReadLatest | undefined> {
    const { link, names } = this.#parts;
    const found = await getMessage(link, names.natsStream, { last_by_subj: subject });
    if (found === undefined) return undefined;
    const message = decodeSnapshot(found.body);
    return { ...(message ?? { sequence: 0, others: [], body: new Uint8Array(0) }), message: found.sequence };
  }

  async #at({ sequence, message }: SnapshotPlace, subject: string): Promise<Snapshot | undefined> {
    const found = await getMessage(this.#parts.link, this.#parts.names.natsStream, { seq: message });
    const decoded = found?.subject === subject ? decodeSnapshot(found.body) : undefined;
    return decoded?.sequence === sequence ? { sequence, body: decoded.body } : undefined;
  }

  async #erase(places: readonly SnapshotPlace[]): Promise<void> {
    const { link, names } = this.#parts;
    await Promise.all(places.map(({ message }) => eraseMessage(link, names.natsStream, message)));
  }
}
