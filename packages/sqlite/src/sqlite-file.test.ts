import type { AppendOutcome, CommitLog, LogBatch, OpenStore } from '@perkey/core';
import { MetricsRegistry } from '@perkey/core';
import { storeEnvironment } from '@perkey/core/testing';
import { chmod, mkdir, mkdtemp, open, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { SqliteOptions } from './options.ts';
import { sqlite } from './sqlite.ts';
import { verifySqlite } from './verify-sqlite.ts';

let folder = '';
const opened: OpenStore[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'perkey-sqlite-file-'));
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((store) => store.close()));
  await rm(folder, { recursive: true, force: true });
});

const file = (): string => join(folder, 'store.db');

async function openStore(options: SqliteOptions = {}, environment: Parameters<typeof storeEnvironment>[0] = {}): Promise<OpenStore> {
  const store = await sqlite({ path: file(), synchronous: 'normal', ...options }).open(storeEnvironment(environment));
  opened.push(store);
  return store;
}

function append(log: CommitLog, key: string, expectedSequence: number, body: Uint8Array, type = 'Account'): Promise<AppendOutcome> {
  return log.append({ stream: { type, key }, shard: 3, expectedSequence, epoch: 1, body });
}

async function appended(log: CommitLog, key: string, expected: number, body = new Uint8Array(100), type = 'Account'): Promise<number> {
  const outcome = await append(log, key, expected, body, type);
  if (outcome.kind !== 'appended') return expect.fail(JSON.stringify(outcome));
  return outcome.sequence;
}

describe('what is refused at the opening', () => {
  const refusal = (reason: string, message: RegExp): object => ({
    code: 'store.refused',
    executed: 'no',
    message: expect.stringMatching(message),
    details: { reason, path: expect.any(String) },
  });

  test('a folder, and a file where a folder has to be', async () => {
    await mkdir(file());
    await expect(openStore()).rejects.toMatchObject(refusal('not_a_file', /is not a file/));
    await writeFile(join(folder, 'plain'), 'text');
    await expect(openStore({ path: join(folder, 'plain/store.db') })).rejects.toMatchObject(refusal('not_a_file', /is not a folder/));
  });

  test('a folder that cannot be made: in a file system that takes none, and in the place of a link that leads nowhere', async () => {
    for (const path of ['/proc/perkey/store.db', '/proc/self/perkey/deep/store.db']) {
      await expect(openStore({ path })).rejects.toMatchObject(refusal('read_only', /takes no folders|may not be written/));
    }
    await symlink(join(folder, 'nowhere'), join(folder, 'link'));
    await expect(openStore({ path: join(folder, 'link/store.db') })).rejects.toMatchObject(refusal('not_a_file', /link is not a folder/));
  });

  test('a file that is no database, and stays as it is', async () => {
    await writeFile(file(), 'these are notes, not a database\n'.repeat(200));
    await expect(openStore()).rejects.toMatchObject(refusal('foreign', /no SQLite database/));
    expect((await readFile(file(), 'utf8')).startsWith('these are notes')).toBe(true);
  });

  test('a database of another program, and stays as it is', async () => {
    const other = new DatabaseSync(file());
    other.exec('create table theirs (a)');
    other.close();
    const before = await readFile(file());
    await expect(openStore()).rejects.toMatchObject(refusal('foreign', /another program/));
    expect(await readFile(file())).toEqual(before);
  });

  test('a newer schema, with both numbers', async () => {
    await (await openStore()).close();
    const newer = new DatabaseSync(file());
    newer.exec('pragma user_version = 7');
    newer.close();
    await expect(openStore()).rejects.toMatchObject(refusal('newer', /schema version 7, this release knows 1/));
  });

  test('a second store of one file in one process, by whatever path, until the first is closed', async () => {
    const first = await openStore();
    await appended(first.events, 'a', 0);
    await symlink(file(), join(folder, 'link.db'));
    for (const path of [file(), join(folder, 'link.db')]) {
      await expect(openStore({ path })).rejects.toMatchObject(refusal('locked', /in use by another process, or by another store/));
    }
    await appended(first.events, 'b', 0);
    await first.close();
    expect((await openStore()).privateId).toBe(first.privateId);
  });

  test.skipIf(process.getuid?.() === 0)('a file and a folder that may not be written (root may write everything)', async () => {
    await (await openStore()).close();
    await chmod(file(), 0o444);
    await expect(openStore()).rejects.toMatchObject(refusal('read_only', /may not be written/));
    await chmod(file(), 0o644);
    await chmod(folder, 0o555);
    await expect(openStore()).rejects.toMatchObject(refusal('read_only', /may not be written/));
    await chmod(folder, 0o755);
  });

  test('another cluster, another number of shards', async () => {
    await (await openStore()).close();
    await expect(openStore({}, { cluster: 'other' })).rejects.toMatchObject({
      code: 'store.mismatch',
      message: expect.stringMatching(/"test".*"other"/),
    });
    await expect(openStore({}, { shards: 17 })).rejects.toMatchObject({ code: 'store.mismatch', message: expect.stringMatching(/17/) });
    await openStore();
  });

  test('options out of their bounds, by name', () => {
    expect(() => sqlite({})).toThrow(/path or the environment variable PERKEY_SQLITE_PATH/);
    expect(() => sqlite({ path: file(), recordBytesMax: 5 })).toThrow(/recordBytesMax/);
    expect(() => sqlite({ path: file(), synchronous: 'sometimes' as 'off' })).toThrow(/synchronous/);
    expect(() => sqlite({ path: file(), synchronus: 'full' } as SqliteOptions)).toThrow(/did you mean/);
  });
});

test('the folder is made, the id stays, and the shards that it holds are known', async () => {
  const path = join(folder, 'a/b/store.db');
  const first = await openStore({ path });
  expect(first.privateId).toMatch(/^[0-9a-f]{32}$/);
  expect(await first.shardsHeld()).toEqual([]);
  await first.states.append({ stream: { type: 'Counter', key: 'x' }, shard: 9, expectedSequence: 0, epoch: 1, body: new Uint8Array(1) });
  await appended(first.events, 'a', 0);
  await first.close();
  const again = await openStore({ path });
  expect(again.privateId).toBe(first.privateId);
  expect(await again.shardsHeld()).toEqual([3, 9]);
});

test('what durable means is said by the setting', async () => {
  expect((await openStore({ path: join(folder, '1'), synchronous: 'full' })).durability).toMatchObject({
    survivesKill: true,
    survivesPowerLoss: true,
  });
  for (const synchronous of ['normal', 'off'] as const) {
    const { durability } = await openStore({ path: join(folder, synchronous), synchronous });
    expect(durability).toMatchObject({ survivesKill: true, survivesPowerLoss: false });
    expect(durability.text).toMatch(/Set synchronous to full/);
  }
});

test('a lower epoch is a conflict and stores nothing', async () => {
  const { events } = await openStore();
  const stream = { type: 'Account', key: 'a' };
  const first = await events.append({ stream, shard: 3, expectedSequence: 0, epoch: 5, body: new Uint8Array(1) });
  const sequence = first.kind === 'appended' ? first.sequence : 0;
  expect(await events.append({ stream, shard: 3, expectedSequence: sequence, epoch: 4, body: new Uint8Array(1) })).toEqual({
    kind: 'conflict',
  });
  expect(await events.last()).toBe(sequence);
});

test('appends of one turn and those that come while the thread writes share transactions', async () => {
  const metrics = new MetricsRegistry();
  const { events } = await openStore({}, { metrics });
  await Promise.all(Array.from({ length: 500 }, (_, i) => appended(events, `k${i}`, 0)));
  const value = (name: string): number => {
    const [series] = metrics.snapshot().find((family) => family.name === name)?.series ?? [];
    return series !== undefined && 'value' in series ? series.value : Number.NaN;
  };
  expect(value('perkey_sqlite_writes_total')).toBe(500);
  expect(value('perkey_sqlite_transactions_total')).toBeLessThanOrEqual(3);
  expect(value('perkey_sqlite_waiting_bytes')).toBe(0);
});

test('at the limit of the file appends are refused as full, nothing of them is stored, and what is there stays readable', async () => {
  const { events, snapshots, ...store } = await openStore({ fileBytesMax: 2_000_000 });
  const body = new Uint8Array(200_000).fill(7);
  const outcomes: AppendOutcome[] = [];
  for (let i = 0; i < 20; i += 1) outcomes.push(await append(events, `k${i}`, 0, body));
  const stored = outcomes.filter(({ kind }) => kind === 'appended').length;
  expect(stored).toBeGreaterThan(3);
  expect(outcomes.slice(stored)).toEqual(
    Array.from({ length: 20 - stored }, () => ({ kind: 'refused', reason: 'full', text: expect.stringMatching(/full/) })),
  );
  await expect(snapshots.save({ type: 'Account', key: 'a' }, { sequence: 1, body }, 1)).rejects.toMatchObject({
    code: 'store.unavailable',
    executed: 'no',
    details: { reason: 'full' },
  });
  // A small one still fits into the pages that are there, also when it comes with one that does not.
  const [large, small] = await Promise.all([append(events, 'large', 0, body), append(events, 'small', 0, new Uint8Array(10))]);
  expect([large.kind, small.kind]).toEqual(['refused', 'appended']);
  let found = 0;
  for await (const batch of events.read({ after: 0, batchMax: 100 })) found += batch.records.length;
  expect(found).toBe(stored + 1);
  await store.close();
  expect(await verifySqlite(file())).toMatchObject({ problems: [] });
});

test('more than may wait is refused as not executed', async () => {
  const { events } = await openStore({ waitingBytesMax: 1_048_576 });
  const outcomes = await Promise.all(Array.from({ length: 20 }, (_, i) => append(events, `k${i}`, 0, new Uint8Array(100_000))));
  expect(outcomes.filter(({ kind }) => kind === 'appended')).toHaveLength(10);
  expect(outcomes.at(-1)).toEqual({ kind: 'refused', reason: 'unavailable', text: expect.stringMatching(/1048576 may/) });
  await appended(events, 'later', 0);
});

test('a read of one type among many passes over the others and says how far it came', async () => {
  const { events } = await openStore();
  const writes: Promise<number>[] = [];
  for (let i = 0; i < 25_000; i += 1) writes.push(appended(events, `k${i}`, 0, new Uint8Array(1), i % 10_000 === 5 ? 'Rare' : 'Common'));
  const last = Math.max(...(await Promise.all(writes)));
  const batches: LogBatch[] = [];
  for await (const batch of events.read({ after: 0, batchMax: 100, types: ['Rare'] })) batches.push(batch);
  expect(batches.flatMap(({ records }) => records)).toHaveLength(3);
  expect(batches.map(({ through }) => through).at(-1)).toBe(last);
  expect(batches.length).toBeGreaterThanOrEqual(3);
});

test('a long stream among others is read whole, forward, in bounded batches, also from its middle and after a trim', async () => {
  const { events } = await openStore();
  const sequences: number[] = [0];
  for (let i = 0; i < 12_000; i += 1) {
    // The log appends in the order in which it is asked, so that the next sequence is known before the answer.
    sequences.push(i + 1 + Math.floor(i / 3));
  }
  const writes: Promise<unknown>[] = [];
  for (let i = 0; i < 12_000; i += 1) {
    writes.push(append(events, 'long', sequences[i] ?? 0, Buffer.from(String(i))));
    if (i % 3 === 2) writes.push(append(events, `other${i}`, 0, Buffer.from('x')));
  }
  expect(new Set((await Promise.all(writes)).map((outcome) => (outcome as AppendOutcome).kind))).toEqual(new Set(['appended']));
  const read = async (after: number): Promise<readonly string[]> => {
    const found: string[] = [];
    for await (const { records } of events.read({ after, batchMax: 5_000, stream: { type: 'Account', key: 'long' } })) {
      expect(records.length).toBeLessThanOrEqual(1_000);
      for (const { body } of records) found.push(Buffer.from(body).toString());
    }
    return found;
  };
  const all = Array.from({ length: 12_000 }, (_, i) => String(i));
  expect(await read(0)).toEqual(all);
  expect(await read(sequences[11_990] ?? 0)).toEqual(all.slice(11_990));
  await events.trim({ type: 'Account', key: 'long' }, sequences[5_001] ?? 0);
  expect(await read(0)).toEqual(all.slice(5_000));
});

test('a damaged page fails what needs it, with a typed error, and verify names it', async () => {
  const store = await openStore();
  let sequence = 0;
  for (let i = 0; i < 50; i += 1) sequence = await appended(store.events, 'a', sequence, new Uint8Array(3_000).fill(i));
  await store.close();
  expect(await verifySqlite(file())).toMatchObject({ problems: [] });
  const handle = await open(file(), 'r+');
  const { size } = await stat(file());
  await handle.write(Buffer.alloc(size - 30 * 4_096, 0xa5), 0, size - 30 * 4_096, 30 * 4_096);
  await handle.close();
  const damaged = await openStore();
  const read = async (): Promise<void> => {
    for await (const batch of damaged.events.read({ after: 0, batchMax: 10 })) expect(batch).toBeDefined();
  };
  await expect(read()).rejects.toMatchObject({ code: 'store.unavailable', executed: 'no', details: { reason: 'damaged' } });
  expect((await verifySqlite(file())).problems.length).toBeGreaterThan(0);
});

test('verify sees a chain that was tampered with', async () => {
  const store = await openStore();
  const first = await appended(store.events, 'a', 0);
  const second = await appended(store.events, 'a', first);
  await appended(store.events, 'a', second);
  await store.close();
  const hand = new DatabaseSync(file());
  hand.exec(`delete from events_records where sequence = ${second}`);
  hand.close();
  expect((await verifySqlite(file())).problems).toEqual(['events: record 1 is followed by none, and is not the last of its stream']);
  const again = new DatabaseSync(file());
  again.exec('update events_streams set last = 77');
  again.close();
  expect((await verifySqlite(file())).problems).toContain('events: the last record of stream 1 should be 77, which is not there');
});
