import { storeEnvironment } from '@perkey/core/testing';
import { sqlite, verifySqlite } from '@perkey/sqlite';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { survivors, type Survivors, WriterProcess } from '../sqlite/writer-process.ts';
import { canMount, LoopDisk } from './loop-disk.ts';

/** A new file on a new disk, under writers until they are killed; then what the disk alone still has. */
async function afterPowerCut(synchronous: 'full' | 'normal' | 'off', ms: number): Promise<Survivors> {
  await using disk = await LoopDisk.make(128);
  const writer = await WriterProcess.start(join(disk.folder, 'made/here/store.db'), synchronous);
  const acknowledged = await writer.killAfter(ms);
  const path = join(await disk.cutPower(), 'made/here/store.db');
  const found = await survivors(sqlite({ path }), acknowledged);
  if (synchronous === 'full') expect((await verifySqlite(path)).problems).toEqual([]);
  return found;
}

test.skipIf(!canMount)(
  'a loss of power takes nothing that was acknowledged with synchronous=full (needs root and loop devices)',
  async () => {
    for (const ms of [50, 400, 1_500]) {
      const found = await afterPowerCut('full', ms);
      expect(found).toMatchObject({ lost: 0, torn: 0 });
      expect(found.acknowledged).toBeGreaterThan(0);
      expect(found.more).toBeLessThanOrEqual(16);
    }
  },
);

test.skipIf(!canMount)('it does with synchronous=off, so the test can tell (needs root and loop devices)', async () => {
  const found = await afterPowerCut('off', 1_000);
  expect(found.acknowledged).toBeGreaterThan(0);
  expect(found.lost).toBeGreaterThan(0);
});

test.skipIf(!canMount)(
  'a full disk refuses appends as full and takes them again when there is room (needs root and loop devices)',
  async () => {
    await using disk = await LoopDisk.make(16);
    const path = join(disk.folder, 'store.db');
    const store = await sqlite({ path }).open(storeEnvironment());
    // Room that is given back later.
    const filler = join(disk.folder, 'filler');
    await writeFile(filler, new Uint8Array(4_000_000));
    const append = (key: string): ReturnType<typeof store.events.append> =>
      store.events.append({
        stream: { type: 'Account', key },
        shard: 1,
        expectedSequence: 0,
        epoch: 1,
        body: new Uint8Array(200_000).fill(1),
      });
    const outcomes = [];
    for (let i = 0; i < 120; i += 1) outcomes.push(await append(`k${i}`));
    const stored = outcomes.filter(({ kind }) => kind === 'appended').length;
    expect(stored).toBeGreaterThan(5);
    expect(outcomes.slice(stored)).toEqual(
      Array.from({ length: 120 - stored }, () => ({ kind: 'refused', reason: 'full', text: expect.stringMatching(/full/) })),
    );
    let found = 0;
    for await (const { records } of store.events.read({ after: 0, batchMax: 100 })) found += records.length;
    expect(found).toBe(stored);
    await rm(filler);
    expect((await append('later')).kind).toBe('appended');
    await store.close();
    expect((await verifySqlite(path)).problems).toEqual([]);
  },
);

test.skipIf(!canMount)('a disk that may not be written is refused at the opening (needs root and loop devices)', async () => {
  await using disk = await LoopDisk.make(16);
  const store = sqlite({ path: join(disk.folder, 'store.db') });
  await (await store.open(storeEnvironment())).close();
  await disk.makeReadOnly();
  const refusal = { code: 'store.refused', executed: 'no', details: { reason: 'read_only' } };
  await expect(store.open(storeEnvironment())).rejects.toMatchObject(refusal);
  await expect(sqlite({ path: join(disk.folder, 'other.db') }).open(storeEnvironment())).rejects.toMatchObject(refusal);
});
