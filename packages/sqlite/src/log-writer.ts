import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { LogName } from './group.ts';

/** Writes to one log, inside a transaction that another begins and ends. */
export class LogWriter {
  readonly #keepsAll: boolean;
  readonly #last: StatementSync;
  readonly #create: StatementSync;
  readonly #advance: StatementSync;
  readonly #insert: StatementSync;
  readonly #hold: StatementSync;
  readonly #remove: StatementSync;
  #sequence: number | undefined;

  constructor(database: DatabaseSync, name: LogName) {
    this.#keepsAll = name === 'events';
    this.#last = database.prepare(`select max(sequence) as last from ${name}_records`);
    this.#create = database.prepare(
      `insert into ${name}_streams (type, key, shard, last, epoch) values (?, ?, ?, ?, ?) on conflict do nothing returning id`,
    );
    this.#advance = database.prepare(
      `update ${name}_streams set last = ?1, epoch = ?2 where type = ?3 and key = ?4 and last = ?5 and epoch <= ?2 returning id`,
    );
    this.#insert = database.prepare(`insert into ${name}_records (sequence, stream, previous, body) values (?, ?, ?, ?)`);
    this.#hold = database.prepare('insert into shards (shard) values (?) on conflict do nothing');
    this.#remove = database.prepare(`delete from ${name}_records where sequence = ?`);
  }

  /** A transaction began: what a former one, which may have been rolled back, knew is forgotten. */
  begin(): void {
    this.#sequence = undefined;
  }

  /**
   * The record's sequence, or 0 when the stream's last record is another, or of a higher epoch. The comparison and the change of the head are
   * one statement of the transaction, so that of two appends with one expectation at most one is applied, even if two processes wrote.
   */
  append(type: string, key: string, shard: number, expected: number, epoch: number, body: Uint8Array): number {
    const next = (this.#sequence ?? this.#lastSequence()) + 1;
    const name = Buffer.from(key);
    const stream = (
      expected === 0 ? this.#create.get(type, name, shard, next, epoch) : this.#advance.get(next, epoch, type, name, expected)
    ) as { id: number } | undefined;
    if (stream === undefined) return 0;
    this.#insert.run(next, stream.id, this.#keepsAll ? expected : 0, body);
    this.#sequence = next;
    if (expected === 0) this.#hold.run(shard);
    else if (!this.#keepsAll) this.#remove.run(expected);
    return next;
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
