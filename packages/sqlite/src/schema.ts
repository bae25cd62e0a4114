import { DatabaseSync } from 'node:sqlite';
import { UnusableFile } from './file-fault.ts';

/** In the header of the file, so that no other database is taken for a store. */
const applicationId = 0x5045_524b;
/** Of the tables below. A file of a higher number is refused, one of a lower number would be brought up here. */
const schemaVersion = 1;

/**
 * For each log the last record of every stream, and the records, each with the sequence of its stream's record before. The chain stands for an
 * index by stream: an index would touch a page of its own for every stream that a transaction appends to, the chain touches none.
 * The highest sequence of a log is always that of the last record of some stream, which is never removed; so a sequence is never given twice.
 */
const logTables = (log: string): string => `
  create table ${log}_streams (
    id integer primary key, type text not null, key blob not null, shard integer not null, last integer not null, epoch integer not null,
    unique (type, key)
  ) strict;
  create table ${log}_records (sequence integer primary key, stream integer not null, previous integer not null, body blob not null) strict;
`;

const tables = `
  create table store (
    one integer primary key check (one = 1), id text not null, cluster text not null, shards integer not null, revision integer not null
  ) strict;
  ${logTables('events')}
  ${logTables('states')}
  create table shards (shard integer primary key) strict;
  create table snapshots (type text not null, key blob not null, sequence integer not null, body blob not null, primary key (type, key, sequence)) strict;
  create table records (key text primary key, value blob not null, revision integer not null) strict, without rowid;
`;

export type Synchronous = 'full' | 'normal' | 'off';

/** Whose file it is. */
export interface FileIdentity {
  readonly id: string;
  readonly cluster: string;
  readonly shards: number;
}

export interface WriterSettings {
  readonly path: string;
  readonly synchronous: Synchronous;
  readonly fileBytesMax: number;
  readonly checkpointPages: number;
  /** What is written into a file that is made now; the id of one that is there stays. */
  readonly identity: FileIdentity;
}

/** Opens the file for writing, or makes it. Throws what is wrong with it. */
export function openForWriting(settings: WriterSettings): { readonly database: DatabaseSync; readonly id: string } {
  const database = new DatabaseSync(settings.path, { timeout: 1_000 });
  try {
    checkKind(database, settings.path);
    tune(database, settings);
    database.exec('begin immediate');
    const { user_version: version } = numbers(database, 'pragma user_version');
    if (version === 0) make(database, settings.identity);
    database.exec('commit');
    return { database, id: checkIdentity(database, settings.identity) };
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Reads go on while the writing thread writes. */
export function openForReading(path: string): DatabaseSync {
  const database = new DatabaseSync(path, { readOnly: true, timeout: 1_000 });
  database.exec('pragma cache_size = -16384');
  return database;
}

/** Whether a file of another use, such as a read model, would get into a store's way. */
export function isStore(database: DatabaseSync): boolean {
  return numbers(database, 'pragma application_id')['application_id'] === applicationId;
}

/** Throws for a file that is no store, or one of a newer schema. */
export function checkKind(database: DatabaseSync, path: string): void {
  const { application_id: kind = 0 } = numbers(database, 'pragma application_id');
  const { user_version: version = 0 } = numbers(database, 'pragma user_version');
  const { count = 0 } = numbers(database, 'select count(*) as count from sqlite_schema');
  if (kind !== applicationId && (kind !== 0 || version !== 0 || count !== 0)) {
    throw new UnusableFile('foreign', `${path} is a database of another program`);
  }
  if (version <= schemaVersion) return;
  throw new UnusableFile(
    'newer',
    `${path} has schema version ${version}, this release knows ${schemaVersion}: run the release that wrote it, or a newer one`,
  );
}

function tune(database: DatabaseSync, { synchronous, fileBytesMax, checkpointPages }: WriterSettings): void {
  database.exec(`
    pragma journal_mode = wal;
    pragma synchronous = ${synchronous};
    pragma fullfsync = on;
    pragma checkpoint_fullfsync = on;
    pragma wal_autocheckpoint = ${checkpointPages};
    pragma journal_size_limit = 67108864;
    pragma cache_size = -16384;
  `);
  const { page_size: pageSize = 4_096 } = numbers(database, 'pragma page_size');
  database.exec(`pragma max_page_count = ${Math.min(4_294_967_294, Math.ceil(fileBytesMax / pageSize))}`);
}

function make(database: DatabaseSync, { id, cluster, shards }: FileIdentity): void {
  database.exec(tables);
  database.prepare('insert into store (one, id, cluster, shards, revision) values (1, ?, ?, ?, 0)').run(id, cluster, shards);
  database.exec(`pragma application_id = ${applicationId}; pragma user_version = ${schemaVersion};`);
}

/** Gives the id of the file. */
function checkIdentity(database: DatabaseSync, wanted: FileIdentity): string {
  const found = database.prepare('select id, cluster, shards from store').get() as unknown as FileIdentity;
  if (found.cluster !== wanted.cluster) {
    throw new UnusableFile('mismatch', `the store was made for the cluster "${found.cluster}", not for "${wanted.cluster}"`);
  }
  if (found.shards !== wanted.shards) {
    throw new UnusableFile('mismatch', `the store was made for ${found.shards} shards, not for ${wanted.shards}`);
  }
  return found.id;
}

function numbers(database: DatabaseSync, sql: string): Readonly<Record<string, number>> {
  return (database.prepare(sql).get() ?? {}) as Record<string, number>;
}
