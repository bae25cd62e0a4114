import { storeEnvironment } from '@perkey/core/testing';
import { sqlite, verifySqlite } from '@perkey/sqlite';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { survivors, WriterProcess } from './writer-process.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'perkey-sqlite-processes-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test('kill -9 of a process that writes loses nothing that was acknowledged, and leaves the file to the next one', async () => {
  for (let round = 0; round < 5; round += 1) {
    const path = join(folder, `${round}.db`);
    const writer = await WriterProcess.start(path, 'full');
    const acknowledged = await writer.killAfter(100 + round * 100);
    const found = await survivors(sqlite({ path }), acknowledged);
    expect(found).toMatchObject({ lost: 0, torn: 0 });
    expect(found.acknowledged).toBeGreaterThan(16);
    expect(found.more).toBeLessThanOrEqual(16);
    expect((await verifySqlite(path)).problems).toEqual([]);
  }
});

test('a second process is refused while the first has the file, and takes it when the first has died', async () => {
  const path = join(folder, 'store.db');
  const writer = await WriterProcess.start(path, 'normal');
  const refusal = { code: 'store.refused', executed: 'no', details: { reason: 'locked' } };
  await expect(sqlite({ path }).open(storeEnvironment())).rejects.toMatchObject(refusal);
  await expect(WriterProcess.start(path, 'normal')).rejects.toThrow(/in use by another process/);
  expect((await verifySqlite(path)).problems).toEqual([]);
  const acknowledged = await writer.killAfter(100);
  expect(await survivors(sqlite({ path }), acknowledged)).toMatchObject({ lost: 0, torn: 0 });
});
