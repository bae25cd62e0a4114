import { expect, test } from 'vitest';
import type { StoredRecord } from '../contract/record-store.ts';
import { ScriptedRecordStore } from '../testkit/scripted-record-store.ts';
import { VirtualClock } from '../testkit/virtual-clock.ts';
import { settledWrite } from './settled-write.ts';

const key = 'shard.1';

function world() {
  const clock = new VirtualClock();
  const store = new ScriptedRecordStore(clock);
  store.table.write('other', 'x', 0);
  store.table.write(key, 'former', 0);
  const revision = store.table.read(key)?.revision ?? 0;
  let wanted = true;
  const write = { store, clock, key, value: 'mine', revision, wanted: () => wanted };
  const giveUp = (): void => {
    wanted = false;
  };
  return { clock, store, write, revision, giveUp };
}

test.each(['refused', 'unavailable', 'applied-refused', 'applied-unavailable'] as const)(
  'a write that ends %s is found out',
  async (end) => {
    const { clock, store, write, revision } = world();
    store.nextWrites({ end }, { end });
    expect(await clock.run(settledWrite(write))).toMatchObject({ kind: 'applied', stored: { value: 'mine', revision: revision + 1 } });
  },
);

test('a first attempt that is applied late, after the second was sent, is recognised', async () => {
  const { clock, store, write, revision } = world();
  store.nextWrites({ end: 'unavailable' }, { beforeMs: 20 });
  const outcome = settledWrite(write);
  await clock.advance(60);
  store.table.write(key, 'mine', revision);
  expect(await clock.run(outcome)).toMatchObject({ kind: 'applied', stored: { revision: revision + 1 } });
});

test('a later record of somebody else refuses', async () => {
  const { clock, store, write, revision } = world();
  store.table.write(key, 'theirs', revision);
  expect(await clock.run(settledWrite(write))).toEqual({
    kind: 'refused',
    latest: { key, value: 'theirs', revision: revision + 1 } satisfies StoredRecord,
  });
});

test.each([
  ['an older record', { key, value: 'older', revision: 1 }],
  ['nothing', undefined],
])('a read that sees %s refuses nothing (H3)', async (_what, sees) => {
  const { clock, store, write } = world();
  store.nextWrites({ end: 'applied-refused' });
  store.nextReads({ sees });
  expect(await clock.run(settledWrite(write))).toMatchObject({ kind: 'applied' });
});

test('a store that was set back is believed after a while', async () => {
  const { clock, store, write } = world();
  store.table.restore([]);
  expect(await clock.run(settledWrite(write))).toEqual({ kind: 'refused', latest: undefined });
});

test('while the store is down the attempts are few, and the first after it is back settles', async () => {
  const { clock, store, write } = world();
  store.always = { write: { end: 'unavailable' }, read: 'unavailable' };
  const outcome = settledWrite(write);
  await clock.advance(60_000);
  expect(store.writesAsked).toBeLessThan(300);
  store.always = { write: {} };
  expect(await clock.run(outcome, { limitMs: 300 })).toMatchObject({ kind: 'applied' });
});

test('it gives up in doubt once it is not wanted any more', async () => {
  const { clock, store, write, giveUp } = world();
  store.always = { write: { end: 'unavailable' } };
  const outcome = settledWrite(write);
  await clock.advance(500);
  giveUp();
  expect(await clock.run(outcome, { limitMs: 300 })).toEqual({ kind: 'in doubt' });
});
