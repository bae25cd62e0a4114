import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { LogName } from './group.ts';

/** Ids of streams that are remembered; beyond it all are looked up anew. */
const idsMax = 65_536;
/** Rows that one statement writes, the most first: what a row costs beside its bytes is mostly the call of a statement. */
const rowCounts = [32, 8, 1] as const;
const columns = 4;

type Row = [sequence: number, stream: number, previous: number, body: Uint8Array];

/** Writes to one log, inside a transaction that another begins and ends. */
export class LogWriter {
  readonly #keepsAll: boolean;
  readonly #last: StatementSync;
  readonly #create: StatementSync;
  readonly #find: StatementSync;
  readonly #advance: StatementSync;
  readonly #inserts: readonly { readonly rows: number; readonly statement: StatementSync }[];
  readonly #hold: StatementSync;
  readonly #remove: StatementSync;
  /** By type, then by key: the ids of streams that are in the file, or will be when the transaction ends. A stream keeps its id for ever. */
  #ids = new Map<string, Map<string, number>>();
  #idCount = 0;
  #sequence: number | undefined;
  /** Rows of the transaction that are not written yet, one behind the other. */
  #rows: Row[number][] = [];
  /** Records whose places these rows take. */
  #replaced: number[] = [];

  constructor(database: DatabaseSync, name: LogName) {
    this.#keepsAll = name === 'events';
    this.#last = database.prepare(`select max(sequence) as last from ${name}_records`);
    this.#create = database.prepare(
      `insert into ${name}_streams (type, key, shard, last, epoch) values (?, ?, ?, ?, ?) on conflict do nothing returning id`,
    );
    this.#find = database.prepare(`select id from ${name}_streams where type = ? and key = ?`);
    this.#advance = database.prepare(`update ${name}_streams set last = ?1, epoch = ?2 where id = ?3 and last = ?4 and epoch <= ?2`);
    this.#inserts = rowCounts.map((rows) => ({
      rows,
      statement: database.prepare(
        `insert into ${name}_records (sequence, stream, previous, body) values ${Array.from({ length: rows }, () => '(?, ?, ?, ?)').join()}`,
      ),
    }));
    this.#hold = database.prepare('insert into shards (shard) values (?) on conflict do nothing');
    this.#remove = database.prepare(`delete from ${name}_records where sequence = ?`);
  }

  /** A transaction began: what a former one, which may have been rolled back, knew is forgotten. */
  begin(): void {
    this.#sequence = undefined;
    this.#rows = [];
    this.#replaced = [];
  }

  /** A transaction was taken back: the ids that it gave may be given to other streams. */
  takenBack(): void {
    this.#ids = new Map();
    this.#idCount = 0;
  }

  /**
   * The record's sequence, or 0 when the stream's last record is another, or of a higher epoch. The comparison and the change of the head are
   * one statement of the transaction, so that of two appends with one expectation at most one is applied, even if two processes wrote.
   * The record itself is written by `flush`, with others.
   */
  append(type: string, key: string, shard: number, expected: number, epoch: number, body: Uint8Array): number {
    const next = (this.#sequence ?? this.#lastSequence()) + 1;
    const stream = expected === 0 ? this.#created(type, key, shard, next, epoch) : this.#advanced(type, key, expected, next, epoch);
    if (stream === 0) return 0;
    this.#rows.push(next, stream, this.#keepsAll ? expected : 0, body);
    this.#sequence = next;
    if (expected === 0) this.#hold.run(shard);
    else if (!this.#keepsAll) this.#replaced.push(expected);
    if (this.#rows.length === rowCounts[0] * columns) this.flush();
    return next;
  }

  /** Writes what was appended in this transaction and is not written yet. Has to come before its end. */
  flush(): void {
    const rows = this.#rows;
    let at = 0;
    for (const { rows: count, statement } of this.#inserts) {
      for (; at + count * columns <= rows.length; at += count * columns) statement.run(...rows.slice(at, at + count * columns));
    }
    rows.length = 0;
    for (const sequence of this.#replaced) this.#remove.run(sequence);
    this.#replaced.length = 0;
  }

  /** The id of the new stream; 0 where it is there already. */
  #created(type: string, key: string, shard: number, sequence: number, epoch: number): number {
    const created = this.#create.get(type, Buffer.from(key), shard, sequence, epoch) as { id: number } | undefined;
    if (created === undefined) return 0;
    this.#remember(type, key, created.id);
    return created.id;
  }

  /** The id of the stream whose head was moved on; 0 where that is another than expected. */
  #advanced(type: string, key: string, expected: number, sequence: number, epoch: number): number {
    let id = this.#ids.get(type)?.get(key);
    if (id === undefined) {
      const found = this.#find.get(type, Buffer.from(key)) as { id: number } | undefined;
      if (found === undefined) return 0;
      ({ id } = found);
      this.#remember(type, key, id);
    }
    return Number(this.#advance.run(sequence, epoch, id, expected).changes) === 1 ? id : 0;
  }

  #remember(type: string, key: string, id: number): void {
    if (this.#idCount >= idsMax) this.takenBack();
    let ids = this.#ids.get(type);
    if (ids === undefined) this.#ids.set(type, (ids = new Map()));
    ids.set(key, id);
    this.#idCount += 1;
  }

  remove(sequences: readonly number[]): void {
    for (const sequence of sequences) this.#remove.run(sequence);
  }

  #lastSequence(): number {
    const { last } = this.#last.get() as { last: number | null };
    this.#sequence = last ?? 0;
    return this.#sequence;
  }
}
