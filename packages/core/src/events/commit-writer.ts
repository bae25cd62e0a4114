import { Encoder } from '../base/encoder.ts';
import { PerkeyError } from '../base/errors.ts';
import { asRefusal } from '../base/plain.ts';
import { Slab } from '../base/slab.ts';
import type { StreamName } from '../contract/commit-log.ts';
import { commitFormat, commitKinds, commitLimits, partsOfRecord } from './commit.ts';
import type { CommitAuthor, CommitDraft, CommitKind, KeptState, StreamHead } from './commit.ts';
import type { EventMetadata } from './stored-event.ts';

/** Everything that one record is made of. */
export interface RecordParts {
  readonly kind: CommitKind;
  readonly stream: StreamName;
  readonly head: StreamHead;
  readonly author: CommitAuthor;
  readonly draft: CommitDraft;
  /** Of a `state` only. */
  readonly kept?: KeptState | undefined;
}

const usualBytes = 512;

/**
 * Writes commits as MessagePack arrays: format, kind, type, key, version, epoch, owner, id, time, hash of the record before, events, notes.
 * The notes are bytes within, so that readers pass over what they do not ask for. The only writer of records; `CommitReader` reads them.
 */
export class CommitWriter {
  readonly #bytesMax: number;
  readonly #encoder = new Encoder(new Slab(), commitLimits);
  /** True while a value is encoded: an accessor of it may run code that comes back here. */
  #writing = false;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** The record; its bytes belong to the caller. Throws `commit.too_large`, or `payload.not_plain` with the path. */
  write(parts: RecordParts): Uint8Array {
    if (this.#writing) return this.#write(new Encoder(new Slab(0), commitLimits), parts);
    this.#writing = true;
    try {
      return this.#write(this.#encoder, parts);
    } finally {
      this.#writing = false;
    }
  }

  #write(encoder: Encoder, parts: RecordParts): Uint8Array {
    encoder.open(usualBytes);
    encoder.message(this.#bytesMax);
    try {
      writeRecord(encoder, parts);
    } catch (thrown) {
      const refusal = asRefusal(thrown);
      throw refusal.code === 'payload.too_large' ? this.#tooLarge(refusal.message) : refusal;
    }
    if (encoder.length > this.#bytesMax) throw this.#tooLarge(`It takes ${encoder.length} bytes.`);
    return encoder.take();
  }

  #tooLarge(message: string): PerkeyError {
    return new PerkeyError('commit.too_large', `The commit does not fit into a record of ${this.#bytesMax} bytes. ${message}`);
  }
}

function writeRecord(encoder: Encoder, { kind, stream, head, author, draft, kept }: RecordParts): void {
  const { events } = draft;
  encoder.array(partsOfRecord);
  encoder.value(commitFormat);
  encoder.value(commitKinds.indexOf(kind));
  encoder.string(stream.type);
  encoder.string(stream.key);
  encoder.value(head.version + (kind === 'state' ? 1 : events.length));
  encoder.value(author.epoch);
  encoder.string(author.owner);
  encoder.string(draft.id);
  encoder.value(draft.at);
  encoder.string(head.hash);
  encoder.array(events.length);
  for (let i = 0; i < events.length; i += 1) {
    const { name, schema, data } = events[i] as CommitDraft['events'][number];
    encoder.array(3);
    encoder.string(name);
    encoder.value(schema);
    encoder.value(data);
  }
  if (kept !== undefined) writeState(encoder, kept);
  else writeNotes(encoder, draft);
}

function writeNotes(encoder: Encoder, { metadata, reply, outbox, delivered, reminders }: CommitDraft): void {
  const hasNotes = reply !== undefined || outbox !== undefined || delivered !== undefined || reminders !== undefined;
  if (!hasNotes && (metadata === undefined || isEmpty(metadata))) return encoder.value(null);
  const mark = encoder.openBinary();
  encoder.array(hasNotes ? 5 : 1);
  writeMetadata(encoder, metadata);
  if (hasNotes) {
    encoder.value(reply === undefined ? null : [reply.idempotencyKey, reply.method, reply.caller, reply.outcome]);
    encoder.value(outbox ?? null);
    encoder.value(delivered ?? null);
    encoder.value(reminders?.map(({ name, reminder }) => (reminder === undefined ? [name] : [name, reminder])) ?? null);
  }
  encoder.closeBinary(mark);
}

function isEmpty({ correlation, causation, trace, principal }: EventMetadata): boolean {
  return correlation === undefined && causation === undefined && trace === undefined && principal === undefined;
}

function writeMetadata(encoder: Encoder, metadata: EventMetadata | undefined): void {
  if (metadata === undefined || isEmpty(metadata)) return encoder.value(null);
  encoder.array(4);
  encoder.value(metadata.correlation ?? null);
  encoder.value(metadata.causation ?? null);
  encoder.value(metadata.trace ?? null);
  encoder.value(metadata.principal ?? null);
}

function writeState(encoder: Encoder, { state, bookkeeping }: KeptState): void {
  const mark = encoder.openBinary();
  encoder.array(2);
  encoder.value(bookkeeping);
  encoder.value(state);
  encoder.closeBinary(mark);
}
