import { mkdtemp, rm } from 'node:fs/promises';
import { storeEnvironment } from '@perkey/core/testing';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { sqlite } from './sqlite.ts';
import { type SqliteReadModel, sqliteReadModel, type SqlTransaction } from './sqlite-read-model.ts';

let folder = '';
const opened: SqliteReadModel[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'perkey-read-model-'));
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((model) => model.close()));
  await rm(folder, { recursive: true, force: true });
});

const setup = (transaction: SqlTransaction): void => {
  transaction.run('create table if not exists balances (owner text primary key, balance integer not null)');
};

async function open(name: string = 'model.db'): Promise<SqliteReadModel> {
  const model = await sqliteReadModel({ path: join(folder, 'made', name), setup });
  opened.push(model);
  return model;
}

const add =
  (owner: string, amount: number) =>
  (transaction: SqlTransaction): void => {
    const before = Number(transaction.get('select balance from balances where owner = ?', owner)?.['balance'] ?? 0);
    transaction.run('insert into balances values (?, ?) on conflict do update set balance = excluded.balance', owner, before + amount);
  };

const balances = (model: SqliteReadModel): unknown =>
  model.query('select owner, balance from balances order by owner').map((row) => ({ ...row }));

test('what a batch writes and its checkpoint come together, and stay when the file is opened again', async () => {
  const model = await open();
  expect(await model.checkpoint('balances')).toBe(0);
  expect(await model.advance('balances', 0, 2_048, add('ann', 5))).toBe(true);
  expect(await model.advance('balances', 2_048, 2 ** 52, add('ann', 2))).toBe(true);
  expect(await model.checkpoint('other')).toBe(0);
  await model.close();
  const again = await open();
  expect(await again.checkpoint('balances')).toBe(2 ** 52);
  expect(balances(again)).toEqual([{ owner: 'ann', balance: 7 }]);
});

test('a work that throws, or that would wait, leaves neither', async () => {
  const model = await open();
  const fails = (transaction: SqlTransaction): void => {
    add('ann', 5)(transaction);
    throw new Error('no such account');
  };
  await expect(model.advance('balances', 0, 10, fails)).rejects.toThrow('no such account');
  const waits = async (transaction: SqlTransaction): Promise<void> => add('ann', 5)(transaction);
  await expect(model.advance('balances', 0, 10, waits as unknown as () => void)).rejects.toThrow(/must not wait/);
  await expect(model.advance('balances', 0, 10, (transaction) => void transaction.run('insert into nothing values (1)'))).rejects.toThrow(
    /nothing/,
  );
  expect(await model.checkpoint('balances')).toBe(0);
  expect(balances(model)).toEqual([]);
  expect(await model.advance('balances', 0, 10, add('ann', 1))).toBe(true);
});

test('of two that read one batch one writes it, and nothing is counted twice', async () => {
  const [one, two] = [await open(), await open()];
  for (let batch = 0; batch < 20; batch += 1) {
    const from = await one.checkpoint('balances');
    const done = await Promise.all([one, two].map((model) => model.advance('balances', from, from + 1, add('ann', 1))));
    expect(done.filter(Boolean)).toHaveLength(1);
  }
  expect(balances(two)).toEqual([{ owner: 'ann', balance: 20 }]);
});

test('a rebuild takes the checkpoint away together with what was written', async () => {
  const model = await open();
  await model.advance('balances', 0, 7, add('ann', 1));
  expect(await model.advance('balances', 7, 0, (transaction) => void transaction.run('delete from balances'))).toBe(true);
  expect(await model.checkpoint('balances')).toBe(0);
  expect(balances(model)).toEqual([]);
});

test('a writer that holds the file for long is told by a typed error, and the batch can be tried again', async () => {
  const [one, two] = [await open(), await open()];
  let tried: Promise<unknown> = Promise.resolve();
  one.write(() => {
    tried = two.advance('balances', 0, 1, add('ann', 1)).catch((error: unknown) => error);
  });
  expect(await tried).toMatchObject({ code: 'store.unavailable', executed: 'no', details: { reason: 'locked' } });
  expect(await two.advance('balances', 0, 1, add('ann', 1))).toBe(true);
});

test('the file of a store is no read model, and a closed one answers with a typed error', async () => {
  const path = join(folder, 'store.db');
  const store = await sqlite({ path, synchronous: 'normal' }).open(storeEnvironment());
  await expect(sqliteReadModel({ path })).rejects.toMatchObject({ code: 'store.refused', details: { reason: 'foreign' } });
  await store.close();
  await expect(sqliteReadModel({ path: folder })).rejects.toMatchObject({ code: 'store.refused', details: { reason: 'not_a_file' } });
  const model = await open();
  await model.close();
  await model.close();
  await expect(model.checkpoint('balances')).rejects.toMatchObject({ code: 'store.unavailable' });
  await expect(model.advance('balances', 0, 1, add('ann', 1))).rejects.toMatchObject({ code: 'store.unavailable' });
});
