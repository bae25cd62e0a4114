import type { ActorDefinition } from '../actor/definition.ts';
import { decode, encode } from '../base/codec.ts';
import { describeThrown } from '../base/errors.ts';
import { EventCatalogue } from '../events/event-catalogue.ts';
import type { EventStore } from '../events/event-store.ts';
import type { EventRead } from '../events/event-reads.ts';
import type { StoredEvent } from '../events/stored-event.ts';

export interface CorpusOptions extends EventRead {
  /** How many examples of each event and version are taken. Default 5. */
  readonly examplesMax?: number | undefined;
}

interface Example {
  readonly type: string;
  readonly event: string;
  readonly schema: number;
  readonly version: number;
  readonly key: string;
  readonly at: number;
  /** The bytes of the data in base64, since JSON does not hold everything that data may. */
  readonly data: string;
}

/** Examples of what a store holds, one line of JSON each, to be kept beside the tests of the code that has to read them for ever. */
export async function takeCorpus(store: EventStore, { examplesMax = 5, ...read }: CorpusOptions = {}): Promise<string> {
  const counts = new Map<string, number>();
  const lines: string[] = [];
  for await (const { events } of store.readAll(read)) {
    for (const event of events) {
      const kind = `${event.type} ${event.event} ${event.schema}`;
      const count = (counts.get(kind) ?? 0) + 1;
      counts.set(kind, count);
      if (count <= examplesMax) lines.push(`${JSON.stringify(exampleOf(event))}\n`);
    }
  }
  return lines.join('');
}

function exampleOf({ type, event, schema, version, key, at, data }: StoredEvent): Example {
  return { type, event, schema, version, key, at, data: Buffer.from(encode(data)).toString('base64') };
}

/** What `readCorpus` found. */
export interface CorpusResult {
  /** In their present versions. */
  readonly events: readonly StoredEvent[];
  /** One line each, with the number of the line in the corpus; empty when the code still reads everything. */
  readonly problems: readonly string[];
}

/**
 * Reads a corpus with the code as it is: with the aggregates of today, or with catalogues where there are none. `check` may look further at each event, with its schema or by applying it; what it
 * throws is a problem.
 */
export function readCorpus(
  corpus: string,
  readers: Iterable<EventCatalogue | ActorDefinition>,
  check?: (event: StoredEvent) => void,
): CorpusResult {
  const byType = new Map(Array.from(readers, catalogueOf).map((catalogue) => [catalogue.type, catalogue]));
  const events: StoredEvent[] = [];
  const problems: string[] = [];
  for (const [i, line] of corpus.split('\n').entries()) {
    if (line.trim() === '') continue;
    try {
      const stored = eventOf(JSON.parse(line) as Example);
      const catalogue = byType.get(stored.type);
      if (catalogue === undefined) throw new Error(`no catalogue was given for the type ${stored.type}`);
      const event = catalogue.lead(stored);
      check?.(event);
      events.push(event);
    } catch (thrown) {
      problems.push(`line ${i + 1}: ${describeThrown(thrown)}`);
    }
  }
  return { events, problems };
}

function catalogueOf(reader: EventCatalogue | ActorDefinition): EventCatalogue {
  if (reader instanceof EventCatalogue) return reader;
  const { contract, aggregate } = reader;
  if (aggregate === undefined) throw new TypeError(`actor ${contract.type} is no aggregate, so it has no events`);
  return new EventCatalogue(contract.type, aggregate.events.values());
}

function eventOf({ type, event, schema, version, key, at, data }: Example): StoredEvent {
  return { id: '', position: 0, version, type, key, event, schema, at, data: decode(Buffer.from(data, 'base64')), metadata: {} };
}
