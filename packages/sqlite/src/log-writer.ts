import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { LogName, UnpackedAppend } from './group.ts';

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
  /** By the length of the type, then by type and key as one: the ids of streams that are in the file, or will be when the transaction ends. A stream keeps its id for ever. */
  #ids = new Map<number, Map<string, number>>();
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
  append({ name, typeLength, shard, expected, epoch, body }: UnpackedAppend): number {
    const next = (this.#sequence ?? this.#lastSequence()) + 1;
    const known = expected === 0 ? undefined : this.#ids.get(typeLength)?.get(name);
    const stream = expected === 0 ? this.#created(name, typeLength, shard, next, epoch) : (known ?? this.#found(name, typeLength));
    if (stream === 0) return 0;
    if (expected !== 0 && Number(this.#advance.run(next, epoch, stream, expected).changes) !== 1) return 0;
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
  #created(name: string, typeLength: number, shard: number, sequence: number, epoch: number): number {
    const [type, key] = [name.slice(0, typeLength), Buffer.from(name.slice(typeLength))];
    const created = this.#create.get(type, key, shard, sequence, epoch) as { id: number } | undefined;
    return created === undefined ? 0 : this.#remember(name, typeLength, created.id);
  }

  /** The id of the stream; 0 where there is none. */
  #found(name: string, typeLength: number): number {
    const found = this.#find.get(name.slice(0, typeLength), Buffer.from(name.slice(typeLength))) as { id: number } | undefined;
    return found === undefined ? 0 : this.#remember(name, typeLength, found.id);
  }

  #remember(name: string, typeLength: number, id: number): number {
    if (this.#idCount >= idsMax) this.takenBack();
    let ids = this.#ids.get(typeLength);
    if (ids === undefined) this.#ids.set(typeLength, (ids = new Map()));
    ids.set(name, id);
    this.#idCount += 1;
    return id;
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
