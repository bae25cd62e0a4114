import type { Decoder } from '../base/decoder.ts';
import { describeThrown, PerkeyError } from '../base/errors.ts';
import type { Commit, CommitKind, CommitNotes, CommittedReply, KeptState, ReminderChange } from './commit.ts';
import { noMetadata } from './stored-event.ts';
import type { EventMetadata, StoredEvent } from './stored-event.ts';

const noNotes: CommitNotes = Object.freeze({});

/** A record that was looked through; most of its texts and its notes are decoded when they are asked for, which replays mostly do not. */
export class ReadCommit implements Commit {
  kind: CommitKind = 'commit';
  sequence = 0;
  type = '';
  version = 0;
  epoch = 0;
  at = 0;
  readonly events: StoredEvent[] = [];
  readonly body: Uint8Array;
  keyFrom = 0;
  ownerFrom = 0;
  idFrom = 0;
  hashFrom = 0;
  notesFrom = 0;
  readonly #decoder: Decoder;
  #key: string | undefined = undefined;
  #id: string | undefined = undefined;
  #metadata: EventMetadata | undefined = undefined;

  constructor(body: Uint8Array, decoder: Decoder) {
    this.body = body;
    this.#decoder = decoder;
  }

  get key(): string {
    return (this.#key ??= this.#text(this.keyFrom));
  }

  get owner(): string {
    return this.#text(this.ownerFrom);
  }

  get id(): string {
    return (this.#id ??= this.#text(this.idFrom));
  }

  get previousHash(): string {
    return this.#text(this.hashFrom);
  }

  get metadata(): EventMetadata {
    return (this.#metadata ??= this.#hasNotes ? this.#lazily((decoder) => metadataOf(decoder, decoder.array())) : noMetadata);
  }

  notes(): CommitNotes {
    if (!this.#hasNotes) return noNotes;
    return this.#lazily((decoder) => {
      const parts = decoder.array();
      metadataOf(decoder, parts);
      if (parts === 1) return noNotes;
      const reply = replyOf(decoder.value());
      const outbox = listOf(decoder.value());
      const delivered = countOf(decoder.value());
      const reminders = listOf(decoder.value())?.map(reminderOf);
      decoder.finish();
      return { reply, outbox, delivered, reminders };
    });
  }

  state(): KeptState {
    if (this.kind !== 'state') throw unreadable(this.sequence, 'it holds no state');
    return this.#lazily((decoder) => {
      if (decoder.array() !== 2) throw new RangeError('its state has another form');
      const bookkeeping = decoder.value();
      const state = decoder.value();
      decoder.finish();
      return { state, bookkeeping };
    });
  }

  get #hasNotes(): boolean {
    return this.notesFrom < this.body.length && this.kind !== 'state';
  }

  #text(from: number): string {
    this.#decoder.begin(this.body, from, this.body.length);
    return this.#decoder.name();
  }

  #lazily<T>(read: (decoder: Decoder) => T): T {
    try {
      this.#decoder.begin(this.body, this.notesFrom, this.body.length);
      return read(this.#decoder);
    } catch (thrown) {
      throw unreadable(this.sequence, describeThrown(thrown));
    }
  }
}

/** An event of such a record. */
export class ReadEvent implements StoredEvent {
  readonly #commit: ReadCommit;
  readonly #index: number;
  position: number;
  version: number;
  event: string;
  schema: number;
  data: unknown;

  constructor(commit: ReadCommit, index: number, position: number, version: number, event: string, schema: number, data: unknown) {
    this.#commit = commit;
    this.#index = index;
    this.position = position;
    this.version = version;
    this.event = event;
    this.schema = schema;
    this.data = data;
  }

  get type(): string {
    return this.#commit.type;
  }

  get key(): string {
    return this.#commit.key;
  }

  get at(): number {
    return this.#commit.at;
  }

  get id(): string {
    return eventId(this.#commit.id, this.#index);
  }

  get metadata(): EventMetadata {
    return this.#commit.metadata;
  }

  /** All of it, as a plain object. */
  toJSON(): StoredEvent {
    const { id, position, version, type, key, event, schema, at, data, metadata } = this;
    return { id, position, version, type, key, event, schema, at, data, metadata };
  }
}

/** The id of the event at `index` of a commit. */
function eventId(commitId: string, index: number): string {
  return `${commitId}-${index}`;
}

/** The error for a record that is not of the form in which commits are written. Its message holds no content. */
export function unreadable(sequence: number, why: string): PerkeyError {
  return new PerkeyError('stream.corrupt', `The record ${sequence} of the log cannot be read: ${why}`, { details: { sequence } });
}

function metadataOf(decoder: Decoder, parts: number): EventMetadata {
  if (parts !== 1 && parts !== 5) throw new RangeError('its notes have another form');
  const value = decoder.value();
  if (value === null) return noMetadata;
  if (!Array.isArray(value) || value.length !== 4) throw new RangeError('its metadata has another form');
  const [correlation, causation, trace, principal] = value.map(optionalText);
  return { correlation, causation, trace, principal };
}

function optionalText(value: unknown): string | undefined {
  if (value === null) return undefined;
  if (typeof value !== 'string') throw new RangeError('its metadata has another form');
  return value;
}

function listOf(value: unknown): readonly unknown[] | undefined {
  if (value === null) return undefined;
  if (!Array.isArray(value)) throw new RangeError('its notes have another form');
  return value;
}

function countOf(value: unknown): number | undefined {
  if (value === null) return undefined;
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw new RangeError('its notes have another form');
  return value as number;
}

function replyOf(value: unknown): CommittedReply | undefined {
  const parts = listOf(value);
  if (parts === undefined) return undefined;
  const [idempotencyKey, method, caller, outcome] = parts;
  if (parts.length !== 4 || typeof idempotencyKey !== 'string' || typeof method !== 'string' || typeof caller !== 'string') {
    throw new RangeError('its notes have another form');
  }
  return { idempotencyKey, method, caller, outcome };
}

function reminderOf(value: unknown): ReminderChange {
  const parts = listOf(value) ?? [];
  const [name, reminder] = parts;
  if (typeof name !== 'string' || parts.length > 2) throw new RangeError('its notes have another form');
  return parts.length === 1 ? { name } : { name, reminder };
}
