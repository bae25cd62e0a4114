import { describeThrown, PerkeyError } from '../base/errors.ts';
import { safeText } from '../base/log-text.ts';
import type { StoredEvent } from './stored-event.ts';

/** Leads data of one version to the next. */
export type Upcast = (data: unknown) => unknown;

/** One kind of event as the code knows it. */
export interface EventKind {
  /** The name under which it is stored. */
  readonly name: string;
  /** The present version of its schema, from 1. */
  readonly version: number;
  /** The step from version n + 1 to n + 2 at index n; as many as the version is above 1. */
  readonly upcasters: readonly Upcast[];
}

/** The events of one actor type, and how those of old versions become those of the present one. */
export class EventCatalogue {
  /** The actor type. */
  readonly type: string;
  readonly #kinds: ReadonlyMap<string, EventKind>;

  constructor(type: string, kinds: Iterable<EventKind>) {
    this.type = type;
    this.#kinds = new Map(Array.from(kinds, (kind) => [kind.name, kind]));
  }

  /**
   * The event in its present version; the same object where it has that already. Throws `event.unknown` for a name, or a version of it, that the
   * code does not know, and for a step that throws; the details hold type, event, version and position.
   */
  lead(event: StoredEvent): StoredEvent {
    const kind = this.#kinds.get(event.event);
    if (kind === undefined) throw this.#unknown(event, 'the code knows no event of this name');
    if (event.schema === kind.version) return event;
    if (event.schema < 1 || event.schema > kind.version) throw this.#unknown(event, `the code knows versions 1 to ${kind.version}`);
    let { data } = event;
    for (let from = event.schema; from < kind.version; from += 1) data = this.#step(kind, from, event, data);
    return new LedEvent(event, kind.version, data);
  }

  #step(kind: EventKind, from: number, event: StoredEvent, data: unknown): unknown {
    const upcaster = kind.upcasters[from - 1];
    if (upcaster === undefined) throw this.#unknown(event, `nothing leads from version ${from} to ${from + 1}`);
    try {
      return upcaster(data);
    } catch (thrown) {
      throw this.#unknown(event, `the step from version ${from} to ${from + 1} threw: ${describeThrown(thrown)}`, thrown);
    }
  }

  #unknown({ event, schema, version, position }: StoredEvent, why: string, cause?: unknown): PerkeyError {
    const name = safeText(event, 80);
    const text = `The event "${name}" in version ${schema} of ${this.type} (number ${version} of its stream) cannot be read: ${why}.`;
    return new PerkeyError('event.unknown', text, { details: { type: this.type, event: name, schema, position }, cause });
  }
}

/** An event whose data was led to another version; the rest is as it was stored. */
class LedEvent implements StoredEvent {
  readonly #stored: StoredEvent;
  readonly position: number;
  readonly version: number;
  readonly type: string;
  readonly key: string;
  readonly event: string;
  readonly schema: number;
  readonly at: number;
  readonly data: unknown;

  constructor(stored: StoredEvent, schema: number, data: unknown) {
    this.#stored = stored;
    this.position = stored.position;
    this.version = stored.version;
    this.type = stored.type;
    this.key = stored.key;
    this.event = stored.event;
    this.schema = schema;
    this.at = stored.at;
    this.data = data;
  }

  get id(): string {
    return this.#stored.id;
  }

  get metadata(): StoredEvent['metadata'] {
    return this.#stored.metadata;
  }

  /** All of it, as a plain object. */
  toJSON(): StoredEvent {
    const { id, position, version, type, key, event, schema, at, data, metadata } = this;
    return { id, position, version, type, key, event, schema, at, data, metadata };
  }
}
