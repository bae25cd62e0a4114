import { PerkeyError, type ReadModel, resolveOptions } from '@perkey/core';
import { resolve } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { faultOf, UnusableFile } from './file-fault.ts';
import { prepareFile } from './file-folder.ts';
import { type ReadModelLimits, readModelOptionTable } from './read-model-options.ts';
import { isStore } from './schema.ts';
import { closedError, openingFailed, unavailable } from './store-errors.ts';

export type SqlValue = null | number | bigint | string | Uint8Array;
export type SqlRow = Readonly<Record<string, SqlValue>>;

/** What a projection writes with, while its transaction is open. */
export interface SqlTransaction {
  /** Gives how many rows were changed. */
  run(sql: string, ...values: readonly SqlValue[]): number;
  all(sql: string, ...values: readonly SqlValue[]): readonly SqlRow[];
  get(sql: string, ...values: readonly SqlValue[]): SqlRow | undefined;
}

export interface ReadModelOptions extends ReadModelLimits {
  /** Makes the tables that are missing. Runs at each opening, in one transaction. */
  readonly setup?: ((transaction: SqlTransaction) => void) | undefined;
}

/** Prepared statements are kept by their text, the last used ones. */
const statementsMax = 256;

/**
 * Opens a file for what projections make of events, tables of the user's own. It needs no force to the disk with each batch: a batch and its
 * checkpoint come back together or not at all. Throws `options.invalid`; rejects with `store.refused` or `store.unavailable`.
 */
export async function sqliteReadModel({ setup, ...limits }: ReadModelOptions = {}): Promise<SqliteReadModel> {
  const { path, synchronous, busyTimeoutMs } = resolveOptions(readModelOptionTable, limits);
  const wanted = resolve(path);
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(await prepareFile(wanted), { timeout: busyTimeoutMs });
    if (isStore(database)) throw new UnusableFile('foreign', `${wanted} is the file of a store; a read model needs a file of its own`);
    database.exec(`
      pragma journal_mode = wal;
      pragma synchronous = ${synchronous};
      create table if not exists perkey_checkpoints (projection text primary key, position integer not null) strict, without rowid;
    `);
    const model = new SqliteReadModel(database);
    if (setup !== undefined) model.write(setup);
    return model;
  } catch (error) {
    database?.close();
    if (error instanceof PerkeyError || (database !== undefined && !isFault(error))) throw error;
    throw openingFailed(faultOf(error), wanted);
  }
}

export class SqliteReadModel implements ReadModel<SqlTransaction>, AsyncDisposable {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  readonly #transaction: SqlTransaction;

  constructor(database: DatabaseSync) {
    this.#database = database;
    this.#transaction = {
      run: (sql, ...values) => Number(this.#statement(sql).run(...values).changes),
      all: (sql, ...values) => this.#statement(sql).all(...values),
      get: (sql, ...values) => this.#statement(sql).get(...values),
    };
  }

  async checkpoint(projection: string): Promise<number> {
    return this.#look(() => this.#position(projection));
  }

  async advance(projection: string, from: number, to: number, work: (transaction: SqlTransaction) => void): Promise<boolean> {
    return this.write((transaction) => {
      // Compared within the transaction, so that of two instances that read one batch only one writes it.
      if (this.#position(projection) !== from) return false;
      finished(work(transaction));
      if (to === 0) transaction.run('delete from perkey_checkpoints where projection = ?', projection);
      else
        transaction.run(
          'insert into perkey_checkpoints (projection, position) values (?, ?) on conflict do update set position = excluded.position',
          projection,
          to,
        );
      return true;
    });
  }

  /** Reads, outside of any transaction. Throws `store.unavailable`, and what SQLite says of a wrong statement. */
  query(sql: string, ...values: readonly SqlValue[]): readonly SqlRow[] {
    return this.#look(() => this.#transaction.all(sql, ...values));
  }

  /** One transaction without a checkpoint. Throws what `work` throws, or `store.unavailable`. */
  write<T>(work: (transaction: SqlTransaction) => T): T {
    return this.#look(() => {
      this.#database.exec('begin immediate');
      let committing = false;
      try {
        const result = work(this.#transaction);
        committing = true;
        this.#database.exec('commit');
        return result;
      } catch (error) {
        if (this.#database.isTransaction) this.#database.exec('rollback');
        const fault = faultOf(error);
        throw committing && fault.reason !== 'full' && fault.reason !== 'locked' ? unavailable(fault, 'unknown') : error;
      }
    });
  }

  async close(): Promise<void> {
    this.#statements.clear();
    if (this.#database.isOpen) this.#database.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #position(projection: string): number {
    const row = this.#transaction.get('select position from perkey_checkpoints where projection = ?', projection);
    return row === undefined ? 0 : Number(row['position']);
  }

  #statement(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    this.#statements.delete(sql);
    const statement = known ?? this.#database.prepare(sql);
    this.#statements.set(sql, statement);
    if (this.#statements.size > statementsMax) this.#statements.delete(this.#statements.keys().next().value as string);
    return statement;
  }

  #look<T>(look: () => T): T {
    if (!this.#database.isOpen) throw closedError();
    try {
      return look();
    } catch (error) {
      throw isFault(error) ? unavailable(faultOf(error), 'no') : error;
    }
  }
}

/** Whether the file is to blame, not a statement. */
function isFault(error: unknown): boolean {
  return !(error instanceof PerkeyError) && faultOf(error).reason !== 'other';
}

function finished(result: unknown): void {
  if (typeof result !== 'object' || result === null || !('then' in result)) return;
  throw new TypeError('what writes to a read model must not wait: it gave a promise, and its transaction was taken back');
}
