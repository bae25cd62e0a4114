import { readFileSync, rmSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** What a running demo leaves in the project's cache, so that `npm run node` finds it. */
export interface RunningDemo {
  readonly pid: number;
  readonly shards: number;
  readonly durable: boolean;
  /** Credentials included. Null: no other process can join. */
  readonly natsUrl: string | null;
}

const cacheDir = join(import.meta.dirname, '../../../.cache');
const fileOf = (cluster: string): string => join(cacheDir, `counter-demo-${cluster}.json`);

/** Readable by this user alone, and gone when this process ends, unless another demo of this name was started meanwhile. */
export async function announce(cluster: string, demo: RunningDemo): Promise<void> {
  const file = fileOf(cluster);
  await mkdir(cacheDir, { recursive: true });
  await writeFile(`${file}.${demo.pid}`, JSON.stringify(demo), { mode: 0o600 });
  await rename(`${file}.${demo.pid}`, file);
  process.once('exit', () => {
    if (read(cluster)?.pid === demo.pid) rmSync(file, { force: true });
  });
}

/** Throws, with what to do, where no demo runs, or one that cannot be joined. */
export function findRunningDemo(cluster: string): RunningDemo & { readonly natsUrl: string } {
  const demo = read(cluster);
  if (demo === undefined || !isAlive(demo.pid)) {
    throw new Error(
      `no demo of cluster "${cluster}" runs here; start it with "npm run demo", or set NATS_URL to the server of a running one`,
    );
  }
  const { natsUrl } = demo;
  if (natsUrl === null) throw new Error(`the demo of cluster "${cluster}" runs without NATS, so no other process can join it`);
  return { ...demo, natsUrl };
}

function read(cluster: string): RunningDemo | undefined {
  try {
    return JSON.parse(readFileSync(fileOf(cluster), 'utf8')) as RunningDemo;
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
