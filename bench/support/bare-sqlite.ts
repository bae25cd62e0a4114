import { DatabaseSync } from 'node:sqlite';

/** SQLite without a store around it, on the settings of one: what the benches hold the store against. */
export class BareSqlite {
  readonly #database: DatabaseSync;

  constructor(path: string) {
    this.#database = new DatabaseSync(path);
    this.#database.exec(`
      pragma journal_mode = wal;
      pragma synchronous = full;
      pragma wal_autocheckpoint = 4000;
      pragma cache_size = -16384;
      create table if not exists bare (sequence integer primary key, body blob not null);
      create table if not exists events (
        position integer primary key, stream text not null, version integer not null, body blob not null, unique (stream, version)
      );
    `);
  }

  /** Rows per second of transactions with `group` inserts each, for `ms`. Nothing is compared: two writers would both get their row. */
  insert(group: number, body: Uint8Array, ms: number): number {
    const insert = this.#database.prepare('insert into bare (body) values (?)');
    return this.#perSecond(group, ms, () => insert.run(body));
  }

  /** The same into a table of events as it is usually made, where the second event of a stream under one version is refused. */
  append(group: number, streams: readonly string[], heads: number[], body: Uint8Array, ms: number): number {
    const insert = this.#database.prepare('insert into events (stream, version, body) values (?, ?, ?)');
    let next = 0;
    return this.#perSecond(group, ms, () => {
      const at = (next = (next + 1) % streams.length);
      insert.run(streams[at] as string, (heads[at] = (heads[at] as number) + 1), body);
    });
  }

  #perSecond(group: number, ms: number, insert: () => void): number {
    const [begin, commit] = [this.#database.prepare('begin immediate'), this.#database.prepare('commit')];
    const startedAt = performance.now();
    let rows = 0;
    while (performance.now() - startedAt < ms) {
      begin.run();
      for (let i = 0; i < group; i += 1) insert();
      commit.run();
      rows += group;
    }
    return (rows * 1_000) / (performance.now() - startedAt);
  }

  close(): void {
    this.#database.close();
  }
}

/** Reads a table in pages of `page` rows; gives the rows per second. */
export function barePagedRead(path: string, table: string, page: number): { readonly rows: number; readonly perSecond: number } {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    const select = database.prepare(`select sequence, body from ${table} where sequence > ? order by sequence limit ?`);
    const startedAt = performance.now();
    let [rows, after, bytes] = [0, 0, 0];
    for (;;) {
      const found = select.all(after, page) as unknown as { sequence: number; body: Uint8Array }[];
      for (const { sequence, body } of found) {
        after = sequence;
        bytes += body.length;
      }
      rows += found.length;
      if (found.length < page) break;
    }
    if (bytes === 0) throw new Error('the table is empty');
    return { rows, perSecond: (rows * 1_000) / (performance.now() - startedAt) };
  } finally {
    database.close();
  }
}

/** Reads a stream back along its chain, in one transaction; gives the rows. */
export function bareChainRead(path: string, table: string, from: number): number {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    const select = database.prepare(`select previous, body from ${table} where sequence = ?`);
    database.exec('begin');
    let rows = 0;
    for (let at = from; at > 0; rows += 1) {
      const found = select.get(at) as { previous: number; body: Uint8Array } | undefined;
      if (found === undefined) break;
      at = found.previous;
    }
    database.exec('commit');
    return rows;
  } finally {
    database.close();
  }
}
