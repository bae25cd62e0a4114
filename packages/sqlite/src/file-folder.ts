import { accessSync, constants, existsSync, mkdirSync, realpathSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { UnusableFile } from './file-fault.ts';

/** Makes the folder and gives the path without links, so that one file has one lock. Throws `UnusableFile`, or what the file system says. */
export async function prepareFile(path: string): Promise<string> {
  await makeFolder(dirname(path));
  // SQLite would open a file that may not be written all the same, and say so only at the first write.
  accessSync(dirname(path), constants.W_OK);
  if (!existsSync(path)) return join(realpathSync(dirname(path)), basename(path));
  if (!statSync(path).isFile()) throw new UnusableFile('not_a_file', `${path} is not a file: give the path of a file, not of a folder`);
  accessSync(path, constants.R_OK | constants.W_OK);
  return realpathSync(path);
}

/** A folder that a loss of power would take away again would take the file along, so each new one is forced to the disk. */
async function makeFolder(folder: string): Promise<void> {
  if (existsSync(folder)) {
    if (!statSync(folder).isDirectory()) throw new UnusableFile('not_a_file', `${folder} is not a folder`);
    return;
  }
  await makeFolder(dirname(folder));
  makeOne(folder);
  const parent = await open(dirname(folder), 'r');
  try {
    await parent.sync();
  } finally {
    await parent.close();
  }
}

/**
 * Makes a folder in one that is there. Not by Node's recursive way, which never returns in a file system that takes no folders, such as /proc:
 * it asks for the parent again and again, and that is there.
 */
function makeOne(folder: string): void {
  try {
    mkdirSync(folder);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT') throw new UnusableFile('read_only', `${folder} cannot be made: ${dirname(folder)} takes no folders`);
    if (code !== 'EEXIST') throw error;
    // Another process has made it meanwhile; or it is a link that leads nowhere.
    if (!existsSync(folder) || !statSync(folder).isDirectory()) throw new UnusableFile('not_a_file', `${folder} is not a folder`);
  }
}
