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

type Row = [sequence: number, body: Uint8Array];

/** The statements that read one log. */
export class LogReader {
  readonly #last: StatementSync;
  readonly #all: StatementSync;
  readonly #ofTypes: StatementSync;
  readonly #stream: StatementSync;
  readonly #chain: StatementSync;
  readonly #one: StatementSync;

  constructor(database: DatabaseSync, name: LogName) {
    const rows = (sql: string): StatementSync => {
      const statement = database.prepare(sql);
      statement.setReturnArrays(true);
      return statement;
    };
    this.#last = rows(`select max(sequence) from ${name}_records`);
    this.#all = rows(`select sequence, body from ${name}_records where sequence > ? and sequence <= ? order by sequence limit ?`);
    // The cross join keeps SQLite from going through the streams first, in the order of which nothing can be read.
    this.#ofTypes = rows(
      `select r.sequence, r.body from ${name}_records r cross join ${name}_streams s on s.id = r.stream
        where r.sequence > ? and r.sequence <= ? and s.type in (select value from json_each(?)) order by r.sequence limit ?`,
    );
    this.#stream = rows(`select last from ${name}_streams where type = ? and key = ?`);
    this.#chain = rows(
      `with recursive chain (sequence, previous) as (
        select sequence, previous from ${name}_records where sequence = ?1
        union all
        select r.sequence, r.previous from chain join ${name}_records r on r.sequence = chain.previous where chain.previous > ?2
        limit ?3
      ) select sequence, previous from chain`,
    );
    this.#one = rows(`select sequence, body from ${name}_records where sequence = ?`);
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
    if (types === undefined)
      return { next: (after, upTo, max) => this.#page((limit) => this.#all.iterate(after, upTo, limit), after, upTo, max) };
    const list = JSON.stringify(types);
    return {
      next: (after, upTo, max) => {
        const end = Math.min(upTo, after + scannedMax);
        return this.#page((limit) => this.#ofTypes.iterate(after, end, list, limit), after, end, max);
      },
    };
  }

  /** The sequence of the stream's last record, 0 where it has none. */
  head({ type, key }: StreamName): number {
    return (this.#stream.get(type, Buffer.from(key)) as unknown as [number] | undefined)?.[0] ?? 0;
  }

  /** Sequences of a stream from `from` backwards, down to what lies above `after`; at most `max`. With where the chain goes on. */
  chain(from: number, after: number, max: number): { readonly sequences: readonly number[]; readonly rest: number } {
    const rows = this.#chain.all(from, after, max) as unknown as [number, number][];
    return { sequences: rows.map(([sequence]) => sequence), rest: rows.at(-1)?.[1] ?? 0 };
  }

  record(sequence: number): LogRecord | undefined {
    const row = this.#one.get(sequence) as unknown as Row | undefined;
    return row === undefined ? undefined : { sequence: row[0], body: row[1] };
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

/** Reads one stream: first back along its chain, for the numbers alone, then forward. */
class StreamPages implements LogPages {
  readonly #reader: LogReader;
  readonly #stream: StreamName;
  /** Of records that are still to be given, the next one last. */
  #found: number[] = [];
  /** Where the walk back goes on, 0 when it is over. */
  #rest = 0;
  /** Up to where the last walk saw everything. */
  #walkedTo = 0;

  constructor(reader: LogReader, stream: StreamName) {
    this.#reader = reader;
    this.#stream = stream;
  }

  next(after: number, upTo: number, max: number): LogPage {
    if (this.#found.length === 0 && this.#rest === 0) {
      this.#walkedTo = upTo;
      this.#rest = this.#reader.head(this.#stream);
    }
    if (this.#rest > after) {
      const { sequences, rest } = this.#reader.chain(this.#rest, after, scannedMax);
      for (const sequence of sequences) if (sequence <= this.#walkedTo) this.#found.push(sequence);
      this.#rest = sequences.length < scannedMax ? 0 : rest;
      if (this.#rest > after) return { records: [], through: after };
    }
    this.#rest = 0;
    return this.#forward(after, upTo, Math.min(max, pageCountMax));
  }

  #forward(after: number, upTo: number, max: number): LogPage {
    const records: LogRecord[] = [];
    let bytes = 0;
    while (this.#found.length > 0 && records.length < max && bytes < pageBytesMax) {
      // One that was trimmed since is passed over.
      const record = this.#reader.record(this.#found.pop() as number);
      if (record === undefined) continue;
      records.push(record);
      bytes += record.body.length;
    }
    if (this.#found.length === 0) return { records, through: Math.max(after, Math.min(upTo, this.#walkedTo)) };
    return { records, through: records.at(-1)?.sequence ?? after };
  }
}
