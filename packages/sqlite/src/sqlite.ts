import { type OpenStore, resolveOptions, type ResolvedOptions, type Store, type StoreEnvironment } from '@perkey/core';
import { existsSync, mkdirSync, realpathSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { faultOf, UnusableFile } from './file-fault.ts';
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
    throw error instanceof Error && error.name === 'PerkeyError' ? error : openingFailed(faultOf(error), wanted);
  }
}

/** Makes the folder and gives the path without links, so that one file has one lock. */
async function prepareFile(path: string): Promise<string> {
  await makeFolder(dirname(path));
  if (!existsSync(path)) return join(realpathSync(dirname(path)), basename(path));
  if (!statSync(path).isFile()) throw new UnusableFile('not_a_file', `${path} is not a file: give the path of a file, not of a folder`);
  return realpathSync(path);
}

/** A folder that a loss of power would take away again would take the file along, so each new one is forced to the disk. */
async function makeFolder(folder: string): Promise<void> {
  if (existsSync(folder)) {
    if (!statSync(folder).isDirectory()) throw new UnusableFile('not_a_file', `${folder} is not a folder`);
    return;
  }
  await makeFolder(dirname(folder));
  mkdirSync(folder, { recursive: true });
  const parent = await open(dirname(folder), 'r');
  try {
    await parent.sync();
  } finally {
    await parent.close();
  }
}
