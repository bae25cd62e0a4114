import { expect, test } from 'vitest';
import { systemClock } from '../base/clock.ts';
import type { AppendOutcome } from '../contract/commit-log.ts';
import type { OpenStore } from '../contract/store.ts';
import { memoryStore } from '../memory/memory-store.ts';
import { storeSuite } from './contract-suites/store-suite.ts';
import { append, appended, readAll, storeEnvironment, stream, texts } from './contract-suites/store-world.ts';
import { FaultyStore } from './faulty-store.ts';
import type { AppendFault } from './faults/commit-faults.ts';
import { VirtualClock } from './virtual-clock.ts';

storeSuite({
  test,
  name: 'faulty without faults',
  open: () => {
    const store = new FaultyStore(memoryStore(), { clock: systemClock });
    return Promise.resolve({ store, another: store, cluster: 'test', close: () => Promise.resolve() });
  },
});

async function opened(): Promise<{ store: FaultyStore; open: OpenStore }> {
  const store = new FaultyStore(memoryStore(), { clock: systemClock });
  return { store, open: await store.open(storeEnvironment()) };
}

test('each fault of an append ends it as it says, and stores what it says', async () => {
  const cases: readonly (readonly [AppendFault, AppendOutcome['kind'], stored: boolean])[] = [
    ['lost', 'unknown', false],
    ['stored_unknown', 'unknown', true],
    ['late', 'unknown', false],
    ['stored_conflict', 'conflict', true],
    ['conflict', 'conflict', false],
    ['unavailable', 'refused', false],
    ['full', 'refused', false],
  ];
  for (const [fault, kind, isStored] of cases) {
    const { store, open } = await opened();
    store.of('n1').nextAppends(fault);
    expect((await append(open.events, stream('a'), 0, 'one')).kind, fault).toBe(kind);
    expect(texts(await readAll(open.events)), fault).toEqual(isStored ? ['one'] : []);
    expect(store.history.map(({ sequence }) => sequence)).toEqual(isStored ? [1] : []);
    const next = await append(open.events, stream('a'), isStored ? 1 : 0, 'two');
    expect(next.kind, fault).toBe('appended');
  }
});

test.each(['lost', 'stored_unknown'] as const)('a store that breaks at an append (%s) is away until it is healed', async (fault) => {
  const { store, open } = await opened();
  await appended(open.events, stream('a'), 0, 'one');
  store.of('n1').breakAtAppend(fault);
  expect(texts(await readAll(open.events))).toEqual(['one']);
  expect((await append(open.events, stream('a'), 1, 'two')).kind).toBe('unknown');
  await expect(readAll(open.events)).rejects.toThrow('unavailable');
  expect((await append(open.events, stream('b'), 0, 'b')).kind).toBe('refused');
  store.of('n1').heal();
  expect(texts(await readAll(open.events))).toEqual(fault === 'lost' ? ['one'] : ['one', 'two']);
});

test('what is late is stored when it is released, unless another one took its place', async () => {
  const { store, open } = await opened();
  store.of('n1').nextAppends('late', 2);
  await append(open.events, stream('a'), 0, 'late a');
  await append(open.events, stream('b'), 0, 'late b');
  await appended(open.events, stream('b'), 0, 'b');
  store.of('n1').releaseLate();
  await expect.poll(async () => texts(await readAll(open.events))).toEqual(['b', 'late a']);
  expect(store.history).toHaveLength(2);
});

test('a late answer is one that comes when it is released', async () => {
  const { store, open } = await opened();
  store.of('n1').nextAppends('stored_late_answer');
  let answered = false;
  const answer = append(open.events, stream('a'), 0, 'one').finally(() => (answered = true));
  await expect.poll(async () => texts(await readAll(open.events))).toEqual(['one']);
  expect(answered).toBe(false);
  store.of('n1').releaseLate();
  expect(await answer).toEqual({ kind: 'appended', sequence: 1 });
});

test('a store that is away, full or stale for one node is not so for another', async () => {
  const { store, open } = await opened();
  const other = await store.open(storeEnvironment({ nodeId: 'n2' }));
  const first = await appended(open.events, stream('a'), 0, 'one');
  store.of('n1').unavailable();
  await expect(readAll(open.events)).rejects.toMatchObject({ code: 'store.unavailable' });
  await expect(open.records.read('a')).rejects.toMatchObject({ code: 'store.unavailable' });
  await expect(store.open(storeEnvironment())).rejects.toMatchObject({ code: 'store.unavailable' });
  expect(await append(open.events, stream('a'), first, 'two')).toMatchObject({ kind: 'refused', reason: 'unavailable' });
  const second = await appended(other.events, stream('a'), first, 'two');
  store.healAll();
  store.of('n1').staleReads(first);
  expect(texts(await readAll(open.events))).toEqual(['one']);
  expect(await open.events.last()).toBe(first);
  expect((await append(open.events, stream('a'), first, 'three')).kind).toBe('conflict');
  expect(texts(await readAll(other.events))).toEqual(['one', 'two']);
  store.healAll();
  store.of('n1').full();
  expect(await append(open.events, stream('a'), second, 'three')).toMatchObject({ kind: 'refused', reason: 'full' });
  await expect(open.snapshots.save(stream('a'), { sequence: 1, body: new Uint8Array(1) }, 1)).rejects.toMatchObject({
    code: 'store.unavailable',
  });
  expect(texts(await readAll(open.events))).toEqual(['one', 'two']);
});

test('a stale log says that a stream is empty, but not to one who demands that it has reached a barrier set since', async () => {
  const { store, open } = await opened();
  const other = await store.open(storeEnvironment({ nodeId: 'n2' }));
  const before = await open.events.barrier();
  store.of('n1').staleReads(before);
  await appended(other.events, stream('new'), 0, 'one');
  const read = (reached?: () => Promise<number>): Promise<readonly string[]> =>
    readAll(open.events, { stream: stream('new'), reached }).then(texts);
  expect(await read()).toEqual([]);
  expect(await read(() => Promise.resolve(before))).toEqual([]);
  await expect(read(() => open.events.barrier())).rejects.toMatchObject({ code: 'store.unavailable' });
  store.of('n1').full();
  await expect(read(() => open.events.barrier())).rejects.toMatchObject({ code: 'store.full' });
  store.healAll();
  expect(await read(() => open.events.barrier())).toEqual(['one']);
});

test('a slow store takes its time, half of it before the effect', async () => {
  const clock = new VirtualClock();
  const store = new FaultyStore(memoryStore(), { clock });
  const environment = storeEnvironment({ clock });
  const open = await store.open(environment);
  store.of('n1').slow(100);
  const sent = append(open.events, stream('a'), 0, 'one');
  await clock.advance(49);
  expect(store.history).toHaveLength(0);
  await clock.advance(2);
  expect(store.history).toHaveLength(1);
  const start = clock.now();
  let answeredAt = 0;
  void sent.then(() => (answeredAt = clock.now()));
  await clock.advance(100);
  expect(answeredAt - start).toBeGreaterThan(45);
});
