import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { LogFilter, LogRecord, StreamName } from '@perkey/core';
import type { LogName } from './group.ts';

/** What one look into the file gave. */
export interface LogPage {
  readonly records: readonly LogRecord[];
  /** Everything that fits up to this sequence was looked at. */
  readonly through: number;
}

/** Where a read stands. */
export interface LogPages {
  /** At most `max` records above `after` and up to `upTo`, which is the highest sequence that was there. Takes a few milliseconds at most. */
  next(after: number, upTo: number, max: number): LogPage;
}

/** A read blocks the event loop, so that each look is bounded in records, in bytes, and in records that are passed over. */
const pageCountMax = 1_000;
const pageBytesMax = 2 ** 20;
const scannedMax = 10_000;
/** Fewer are read one by one. */
const denseLeast = 16;
/** What a read of one stream keeps of what it met on its way back. */
const heldBytesMax = 8 * 2 ** 20;

type Row = [sequence: number, body: Uint8Array];
type Size = [count: number, bytes: number | null];
/** All rows of a span in one: what each row costs by itself is more than to read and to decode it. */
type Packed = [count: number, bodies: Uint8Array, lengths: string, sequences: string];

/** For `where` over rows of `r`, each body behind the one before it; SQLite joins bytes as they are. */
const packed = `select count(*), cast(group_concat(r.body, '') as blob), group_concat(length(r.body)), group_concat(r.sequence)`;

/** The statements that read one log. */
export class LogReader {
  readonly #begin: StatementSync;
  readonly #end: StatementSync;
  readonly #last: StatementSync;
  readonly #size: StatementSync;
  readonly #span: StatementSync;
  readonly #spanOfTypes: StatementSync;
  readonly #all: StatementSync;
  readonly #ofTypes: StatementSync;
  readonly #stream: StatementSync;
  readonly #one: StatementSync;
  readonly #previous: StatementSync;

  constructor(database: DatabaseSync, name: LogName) {
    const rows = (sql: string): StatementSync => {
      const statement = database.prepare(sql);
      statement.setReturnArrays(true);
      return statement;
    };
    this.#begin = database.prepare('begin');
    this.#end = database.prepare('commit');
    this.#last = rows(`select max(sequence) from ${name}_records`);
    this.#size = rows(`select count(*), sum(length(body)) from ${name}_records where sequence > ? and sequence <= ?`);
    this.#span = rows(`${packed} from ${name}_records r where r.sequence > ? and r.sequence <= ?`);
    this.#spanOfTypes = rows(
      `${packed} from ${name}_records r cross join ${name}_streams s on s.id = r.stream
        where r.sequence > ? and r.sequence <= ? and s.type in (select value from json_each(?))`,
    );
    this.#all = rows(`select sequence, body from ${name}_records where sequence > ? and sequence <= ? order by sequence limit ?`);
    // The cross join keeps SQLite from going through the streams first, in the order of which nothing can be read.
    this.#ofTypes = rows(
      `select r.sequence, r.body from ${name}_records r cross join ${name}_streams s on s.id = r.stream
        where r.sequence > ? and r.sequence <= ? and s.type in (select value from json_each(?)) order by r.sequence limit ?`,
    );
    this.#stream = rows(`select last from ${name}_streams where type = ? and key = ?`);
    this.#one = rows(`select previous, body from ${name}_records where sequence = ?`);
    this.#previous = rows(`select previous from ${name}_records where sequence = ?`);
  }

  /** Many small reads as one: each by itself would take the locks of the log anew, which costs more than the read. */
  together<T>(look: () => T): T {
    this.#begin.run();
    try {
      return look();
    } finally {
      this.#end.run();
    }
  }

  last(): number {
    return (this.#last.get() as unknown as [number | null])[0] ?? 0;
  }

  pages({ types, stream }: LogFilter): LogPages {
    if (stream !== undefined) {
      if (types !== undefined && !types.includes(stream.type))
        return { next: (after, upTo) => ({ records: [], through: Math.max(after, upTo) }) };
      return new StreamPages(this, stream);
    }
    const list = JSON.stringify(types);
    return {
      next: (after, upTo, max) => {
        const span = this.#dense(after, upTo, max);
        if (span !== undefined && types === undefined) return unpacked(this.#span.get(after, span), span);
        if (span !== undefined) return unpacked(this.#spanOfTypes.get(after, span, list), span);
        if (types === undefined) return this.#page((limit) => this.#all.iterate(after, upTo, limit), after, upTo, max);
        const end = Math.min(upTo, after + scannedMax);
        return this.#page((limit) => this.#ofTypes.iterate(after, end, list, limit), after, end, max);
      },
    };
  }

  /** Up to where the next records can be read at once: no more than `max`, nearly all of which are there, and none of them large. */
  #dense(after: number, upTo: number, max: number): number | undefined {
    const count = Math.min(upTo - after, max, pageCountMax);
    if (count < denseLeast) return undefined;
    const [found, bytes] = this.#size.get(after, after + count) as unknown as Size;
    return found * 2 >= count && (bytes ?? 0) <= pageBytesMax ? after + count : undefined;
  }

  /** The sequence of the stream's last record, 0 where it has none. */
  head({ type, key }: StreamName): number {
    return (this.#stream.get(type, Buffer.from(key)) as unknown as [number] | undefined)?.[0] ?? 0;
  }

  /** The sequence of the stream's record before, and the body; `undefined` for a record that is not there. */
  record(sequence: number): readonly [previous: number, body: Uint8Array] | undefined {
    return this.#one.get(sequence) as unknown as [number, Uint8Array] | undefined;
  }

  /** 0 where the chain ends. */
  previous(sequence: number): number {
    return (this.#previous.get(sequence) as unknown as [number] | undefined)?.[0] ?? 0;
  }

  #page(rows: (limit: number) => Iterable<unknown>, after: number, upTo: number, max: number): LogPage {
    const limit = Math.min(max, pageCountMax);
    const records: LogRecord[] = [];
    let bytes = 0;
    for (const [sequence, body] of rows(limit) as Iterable<Row>) {
      records.push({ sequence, body });
      bytes += body.length;
      if (bytes >= pageBytesMax) break;
    }
    const whole = records.length < limit && bytes < pageBytesMax;
    return { records, through: whole ? Math.max(after, upTo) : (records.at(-1) as LogRecord).sequence };
  }
}

/** The records of a span. Their bodies are parts of one memory, which is no larger than a page. */
function unpacked(row: unknown, through: number): LogPage {
  const [count, bodies, lengths, sequences] = row as Packed;
  if (count === 0) return { records: [], through };
  const { buffer, byteOffset, byteLength } = bodies;
  const lengthOf = numbersIn(lengths);
  const sequenceOf = numbersIn(sequences);
  const records: LogRecord[] = [];
  let [at, last] = [0, 0];
  for (let i = 0; i < count; i += 1) {
    const [sequence, length] = [sequenceOf[i] as number, lengthOf[i] as number];
    if (!(sequence > last)) throw new Error('the rows of a span came in another order than theirs');
    records.push({ sequence, body: new Uint8Array(buffer, byteOffset + at, length) });
    at += length;
    last = sequence;
  }
  if (at !== byteLength || lengthOf.length !== count) throw new Error('the bodies of a span are not as long as they say');
  return { records, through };
}

/** Whole numbers with commas between them. */
function numbersIn(text: string): readonly number[] {
  const numbers: number[] = [];
  let number = 0;
  for (let i = 0; i < text.length; i += 1) {
    const char = text.charCodeAt(i);
    if (char === 0x2c) {
      numbers.push(number);
      number = 0;
    } else number = number * 10 + char - 0x30;
  }
  numbers.push(number);
  return numbers;
}

interface Found {
  readonly sequence: number;
  /** Left out where too much would be held. */
  readonly body: Uint8Array | undefined;
}

/** Reads one stream: first back along its chain, some steps at a time, then forward. */
class StreamPages implements LogPages {
  readonly #reader: LogReader;
  readonly #stream: StreamName;
  /** Still to be given, the next one last. */
  #found: Found[] = [];
  #heldBytes = 0;
  /** Where the walk back goes on, 0 when it is over. */
  #from = 0;
  /** Up to where the last walk saw everything. */
  #walkedTo = 0;

  constructor(reader: LogReader, stream: StreamName) {
    this.#reader = reader;
    this.#stream = stream;
  }

  next(after: number, upTo: number, max: number): LogPage {
    return this.#reader.together(() => this.#next(after, upTo, max));
  }

  #next(after: number, upTo: number, max: number): LogPage {
    if (this.#found.length === 0 && this.#from === 0) {
      this.#walkedTo = upTo;
      this.#heldBytes = 0;
      this.#from = this.#reader.head(this.#stream);
    }
    for (let step = 0; this.#from > after && step < pageCountMax; step += 1) this.#stepBack();
    if (this.#from > after) return { records: [], through: after };
    this.#from = 0;
    return this.#forward(after, upTo, Math.min(max, pageCountMax));
  }

  #stepBack(): void {
    const sequence = this.#from;
    // Records are given in the order of their age, so that those that were found first are held longest.
    const record = this.#heldBytes < heldBytesMax ? this.#reader.record(sequence) : undefined;
    this.#from = record?.[0] ?? this.#reader.previous(sequence);
    if (sequence > this.#walkedTo) return;
    this.#found.push({ sequence, body: record?.[1] });
    this.#heldBytes += record?.[1].length ?? 0;
  }

  #forward(after: number, upTo: number, max: number): LogPage {
    const records: LogRecord[] = [];
    let bytes = 0;
    while (this.#found.length > 0 && records.length < max && bytes < pageBytesMax) {
      const { sequence, body = this.#reader.record(sequence)?.[1] } = this.#found.pop() as Found;
      // One that was trimmed since is passed over.
      if (body === undefined) continue;
      records.push({ sequence, body });
      bytes += body.length;
    }
    if (this.#found.length === 0) return { records, through: Math.max(after, Math.min(upTo, this.#walkedTo)) };
    return { records, through: records.at(-1)?.sequence ?? after };
  }
}
