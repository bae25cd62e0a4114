import { chmod, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { natsServerFromArchive, updateAndDownload } from './archive.ts';
import { findOnPath } from './find-on-path.ts';
import { runProgram } from './run-program.ts';

let cacheDir = '';

beforeAll(async () => {
  cacheDir = await mkdtemp(join(tmpdir(), 'perkey-archive-'));
});
afterEach(() => {
  vi.unstubAllEnvs();
});
afterAll(() => rm(cacheDir, { recursive: true }));

const noApt = (await findOnPath('apt-get', process.env)) === undefined;
const why = noApt ? ' (skipped: no apt-get on this system)' : '';

/** When apt last wrote anything of its own. */
async function aptState(): Promise<readonly number[]> {
  const dirs = ['/var/lib/apt', '/var/lib/apt/lists', '/var/cache/apt', '/var/cache/apt/archives', '/var/lib/dpkg/status'];
  return Promise.all(
    dirs.map((dir) =>
      stat(dir).then(
        (found) => found.mtimeMs,
        () => 0,
      ),
    ),
  );
}

test.skipIf(noApt)(`a copy that runs is taken, once, and the system stays as it was${why}`, async () => {
  const before = await aptState();
  const [binary, same] = await Promise.all([natsServerFromArchive({ cacheDir }), natsServerFromArchive({ cacheDir })]);
  expect(binary).toBe(join(cacheDir, `system-${process.arch}`, 'nats-server'));
  expect(same).toBe(binary);
  expect((await runProgram(binary, ['--version'], { timeoutMs: 5_000 })).stdout).toMatch(/^nats-server: v\d/);
  expect(await readdir(join(cacheDir, `system-${process.arch}`))).toEqual(['nats-server']);
  expect(await aptState()).toEqual(before);
  vi.stubEnv('PATH', '/no/such/folder');
  expect(await natsServerFromArchive({ cacheDir })).toBe(binary);
});

test.skipIf(noApt)(`a system that never fetched its package lists gets private ones${why}`, { timeout: 120_000 }, async () => {
  const before = await aptState();
  const file = await updateAndDownload({ dir: join(cacheDir, 'own'), lists: 'own', sources: undefined });
  expect(file).toMatch(/nats-server_.*\.deb$/);
  expect(await aptState()).toEqual(before);
});

test('without apt-get it is refused at once', async () => {
  vi.stubEnv('PATH', '/no/such/folder');
  const asking = natsServerFromArchive({ cacheDir: join(cacheDir, 'none') });
  await expect(asking).rejects.toMatchObject({ code: 'nats_server.not_found', message: expect.stringContaining('there is no apt-get') });
});

test('what apt says against it is the reason', async () => {
  const bin = await mkdtemp(join(tmpdir(), 'perkey-bin-'));
  await writeFile(join(bin, 'apt-get'), '#!/bin/sh\necho "W: noise" >&2\necho "E: Unable to locate package $*" >&2\nexit 100\n');
  await chmod(join(bin, 'apt-get'), 0o755);
  vi.stubEnv('PATH', `${bin}:/usr/bin:/bin`);
  await expect(natsServerFromArchive({ cacheDir: join(cacheDir, 'refused') })).rejects.toThrow(/Unable to locate package .*nats-server/);
  await rm(bin, { recursive: true });
});
