import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

const rootMarks = ['.git', 'package-lock.json', 'npm-shrinkwrap.json', 'pnpm-lock.yaml', 'yarn.lock', 'bun.lock', 'bun.lockb'];

/** The folder for unpacked servers: `.cache/nats-server` under the root of the project that `from` lies in. */
export function natsServerCacheDir(from: string = process.cwd()): string {
  const root = nearest(from, rootMarks) ?? nearest(from, ['package.json']) ?? from;
  return join(root, '.cache', 'nats-server');
}

function nearest(from: string, marks: readonly string[]): string | undefined {
  for (let dir = from; ; dir = dirname(dir)) {
    if (marks.some((mark) => existsSync(join(dir, mark)))) return dir;
    if (dir === dirname(dir)) return undefined;
  }
}
