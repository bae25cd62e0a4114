import { type OpenStore, PerkeyError, resolveOptions, type ResolvedOptions, type Store, type StoreEnvironment } from '@perkey/core';
import { resolve } from 'node:path';
import { faultOf } from './file-fault.ts';
import { prepareFile } from './file-folder.ts';
import { FileLock } from './file-lock.ts';
import { openSqlite } from './open-sqlite.ts';
import { type SqliteOptions, type SqliteOptionTable, sqliteOptionTable } from './options.ts';
import { openingFailed } from './store-errors.ts';

/**
 * A store in one file of this machine, for one node: a second one that opens the file is refused with `store.refused`.
 * Throws `options.invalid`; opening rejects with `store.refused`, `store.mismatch` or `store.unavailable`.
 */
export function sqlite(options: SqliteOptions = {}): Store {
  const settings = resolveOptions(sqliteOptionTable, options, process.env);
  return { name: 'sqlite', open: (environment) => openStore(settings, environment) };
}

async function openStore(settings: ResolvedOptions<SqliteOptionTable>, environment: StoreEnvironment): Promise<OpenStore> {
  const wanted = resolve(settings.path);
  try {
    const path = await prepareFile(wanted);
    const lock = FileLock.take(path);
    try {
      return await openSqlite({ ...settings, path }, environment, lock);
    } catch (error) {
      lock.release();
      throw error;
    }
  } catch (error) {
    throw error instanceof PerkeyError ? error : openingFailed(faultOf(error), wanted);
  }
}
