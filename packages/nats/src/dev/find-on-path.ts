import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

/** Where packages put servers, and what the PATH of most users leaves out. */
const serverDirs = ['/usr/local/sbin', '/usr/sbin', '/usr/local/bin'];

/** The path of a program in the PATH of `env`, or in the folders for servers; undefined when it is in none of them. */
export async function findOnPath(program: string, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const dirs = (env['PATH'] ?? '').split(delimiter).filter((dir) => dir !== '');
  for (const dir of [...dirs, ...serverDirs]) {
    const path = join(dir, program);
    if (await isExecutable(path)) return path;
  }
  return undefined;
}

function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
