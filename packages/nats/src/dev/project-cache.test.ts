import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { natsServerCacheDir } from './project-cache.ts';

test('the root is where the lockfile is, not the nearest package', async () => {
  const root = await mkdtemp(join(tmpdir(), 'perkey-project-'));
  const inner = join(root, 'packages', 'one', 'src');
  await mkdir(inner, { recursive: true });
  await writeFile(join(root, 'packages', 'one', 'package.json'), '{}');
  expect(natsServerCacheDir(inner)).toBe(join(root, 'packages', 'one', '.cache', 'nats-server'));
  await writeFile(join(root, 'package-lock.json'), '{}');
  expect(natsServerCacheDir(inner)).toBe(join(root, '.cache', 'nats-server'));
  await rm(root, { recursive: true });
});
