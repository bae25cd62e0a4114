import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Logger, silentLogger } from '../base/log.ts';
import type { CarriedActor } from '../contract/calls.ts';
import { ManagedShards, nodeA } from '../testkit/ownership/managed-shards.ts';
import type { Incarnated } from './records.ts';

const b: Incarnated = { nodeId: 'b', incarnation: '1-b' };
const c: Incarnated = { nodeId: 'c', incarnation: '1-c' };
const state: CarriedActor = { type: 't', key: 'k', state: { n: 7 } };

const unhandled: unknown[] = [];
const onUnhandled = (error: unknown): void => void unhandled.push(error);
beforeEach(() => {
  unhandled.length = 0;
  process.on('unhandledRejection', onUnhandled);
});
afterEach(() => {
  process.off('unhandledRejection', onUnhandled);
  expect(unhandled).toEqual([]);
});

test('shards that nobody owns are claimed, a few at a time', async () => {
  const world = new ManagedShards({ shards: 10, claimsMax: 3 });
  const { clock, store, fake } = world;
  store.always = { write: { afterMs: 100 } };
  await world.begin(nodeA);
  expect(store.writesAsked).toBe(3);
  await clock.advance(1_000);
  expect(fake.opened).toHaveLength(10);
});

test('a shard whose owner lives is left alone; once its owner is gone it is claimed with a higher epoch', async () => {
  const world = new ManagedShards();
  const { clock, fake } = world;
  const epoch = clock.wall() + 60_000;
  world.write({ ...b, epoch });
  await world.begin(nodeA);
  expect(fake.opened).toEqual([]);
  world.member(b, 'gone');
  await clock.advance(10);
  expect(world.stored()).toEqual({ ...nodeA, shard: 0, epoch: epoch + 1, state: 'owned' });
  expect(fake.opened).toEqual([{ shard: 0, epoch: epoch + 1, carried: [] }]);
});

test('nothing is claimed before members and shards are known', async () => {
  const world = new ManagedShards();
  const { clock, store, members, table } = world;
  world.member(nodeA);
  members.onSynced();
  await clock.advance(1_000);
  expect(store.writesAsked).toBe(0);
  table.onSynced();
  await clock.advance(10);
  expect(store.writesAsked).toBe(1);
});

test('a shard is released only after its state was acknowledged, and kept until its successor claimed it', async () => {
  const world = new ManagedShards();
  const { clock, store, fake } = world;
  await world.owning(state);
  let acknowledge = (_held: boolean): void => {};
  fake.onSend = () => new Promise((resolve) => (acknowledge = resolve));
  await world.moveTo(b);
  expect(fake.closed).toEqual([{ shard: 0, drainMs: 10_000, successor: 'b' }]);
  expect(fake.sent).toMatchObject([{ to: b, actors: [state] }]);
  await clock.advance(3_000);
  expect(world.stored()?.state).toBe('owned');
  acknowledge(true);
  await clock.advance(10);
  expect(world.stored()).toMatchObject({ ...nodeA, state: 'releasing', successor: b, transfer: 'transfer-0' });
  const { writesAsked } = store;
  world.write({ ...b, epoch: (world.stored()?.epoch ?? 0) + 1 });
  await clock.advance(10_000);
  expect(store.writesAsked).toBe(writesAsked);
  expect(fake.opened).toHaveLength(1);
});

test.each(['refused', 'unavailable', 'applied-refused', 'applied-unavailable'] as const)(
  'a release that ends %s is settled, and then given back when the successor vanishes',
  async (end) => {
    const world = new ManagedShards();
    const { clock, store, fake } = world;
    await world.owning(state);
    store.nextWrites({ end }, { end });
    await world.moveTo(b);
    await clock.advance(500);
    expect(world.stored()).toMatchObject({ state: 'releasing', successor: b });
    const { epoch = 0 } = world.stored() ?? {};
    world.member(b, 'gone');
    await clock.advance(500);
    expect(world.stored()).toMatchObject({ ...nodeA, state: 'owned' });
    expect(fake.opened.at(-1)).toMatchObject({ carried: [state] });
    expect(fake.opened.at(-1)?.epoch).toBeGreaterThan(epoch);
  },
);

test('a release whose outcome a stale read hides (H3) leaves no second owner', async () => {
  const world = new ManagedShards();
  const { clock, store, fake } = world;
  await world.owning(state);
  store.nextWrites({ end: 'applied-refused' });
  store.nextReads({ sees: { key: 'shard.0', value: JSON.stringify({ ...b, shard: 0, epoch: 1, state: 'free' }), revision: 0.5 } });
  await world.moveTo(b);
  await clock.advance(500);
  expect(world.stored()).toMatchObject({ state: 'releasing', successor: b });
  expect(fake.open.size).toBe(0);
});

test('a handoff that is not acknowledged leaves the shard here, and is tried again, ever more seldom', async () => {
  for (const rebalanceDelayMs of [0, 100]) {
    const world = new ManagedShards({ rebalanceDelayMs });
    const { clock, fake, manager } = world;
    await world.owning(state);
    const { epoch } = world.stored() ?? {};
    fake.onSend = () => Promise.reject(new Error('no acknowledgement'));
    await world.moveTo(b);
    await clock.advance(60_000);
    expect(fake.closed.length).toBeGreaterThanOrEqual(8);
    expect(fake.closed.length).toBeLessThanOrEqual(11);
    expect(world.stored()).toMatchObject({ ...nodeA, epoch, state: 'owned' });
    expect(manager.epochOf(0)).toBe(epoch);
    expect(fake.open.get(0)).toEqual([state]);
    fake.onSend = () => Promise.resolve(true);
    await clock.advance(30_100);
    expect(world.stored()).toMatchObject({ state: 'releasing', successor: b });
  }
});

test('a successor that is gone while it is sent the state is not waited for', async () => {
  const world = new ManagedShards();
  const { clock, fake } = world;
  await world.owning(state);
  fake.onSend = () => new Promise(() => {});
  await world.moveTo(b);
  expect(fake.open.size).toBe(0);
  world.member(b, 'gone');
  await clock.advance(1);
  expect(fake.open.get(0)).toEqual([state]);
});

test('a shard that has another owner by the time its handoff fails is not served again', async () => {
  const world = new ManagedShards();
  const { clock, fake } = world;
  await world.owning(state);
  fake.onSend = () => new Promise((_resolve, reject) => clock.setTimer(1_000, () => reject(new Error('no answer'))));
  await world.moveTo(b);
  world.write({ ...c, epoch: clock.wall() + 60_000 });
  await clock.advance(2_000);
  expect(fake.opened).toHaveLength(1);
});

test('a successor that is gone when the turns have ended is sent nothing', async () => {
  const world = new ManagedShards();
  const { clock, fake } = world;
  await world.owning(state);
  fake.onClose = (carried) => new Promise((resolve) => clock.setTimer(3_000, () => resolve(carried)));
  await world.moveTo(b);
  world.member(b, 'gone');
  await clock.advance(3_100);
  expect(fake.sent).toEqual([]);
  expect(fake.open.get(0)).toEqual([state]);
});

test('what is given back while the lease is lapsed waits for the lease, without a hot loop', async () => {
  const world = new ManagedShards();
  const { clock, store, fake, manager } = world;
  await world.owning(state);
  await world.moveTo(b);
  fake.holds = false;
  world.member(b, 'gone');
  const { writesAsked } = store;
  await clock.advance(10_000);
  expect(store.writesAsked).toBe(writesAsked);
  expect(world.stored()?.state).toBe('releasing');
  fake.holds = true;
  manager.schedule();
  await clock.advance(10);
  expect(fake.opened.at(-1)).toMatchObject({ carried: [state] });
});

test('a claim that the lease outran, and that is applied late, is adopted with the state that came with the shard', async () => {
  const world = new ManagedShards();
  const { clock, store, fake, manager } = world;
  fake.onTake = (transfer) => (transfer === 'from-b' ? [state] : undefined);
  world.write({ ...b, epoch: clock.wall() + 5, state: 'releasing', successor: nodeA, transfer: 'from-b' });
  store.always = { write: { end: 'unavailable' } };
  await world.begin(nodeA, b);
  await clock.advance(100);
  expect(store.writesAsked).toBeGreaterThan(0);
  fake.holds = false;
  await clock.advance(500);
  expect(fake.opened).toEqual([]);
  // The first attempt, after all.
  const { epoch = 0 } = world.stored() ?? {};
  world.write({ ...nodeA, epoch: epoch + 1, transfer: 'from-b' }, false);
  await clock.advance(500);
  expect(manager.owned).toBe(0);
  world.hear(0);
  await clock.advance(1);
  expect(fake.opened).toEqual([{ shard: 0, epoch: epoch + 1, carried: [state] }]);
});

test('the successor claims what it was sent, whatever placement wants by now', async () => {
  const world = new ManagedShards();
  const { clock, fake } = world;
  fake.onTake = () => [state];
  await world.begin(nodeA, b);
  for (const owner of [b, c]) {
    world.write({ ...owner, epoch: clock.wall() + 1_000, state: 'releasing', successor: nodeA, transfer: 'one' });
    await clock.advance(10);
    expect(fake.opened.at(-1)).toMatchObject({ carried: [state] });
    world.write({ ...c, epoch: clock.wall() + 5_000 });
    await clock.advance(10);
    expect(fake.open.size).toBe(0);
  }
});

test.each([
  ['somebody else owns it', { ...b, epoch: 9e12, state: 'owned' as const }],
  ['this node released it', { ...nodeA, epoch: 0, state: 'releasing' as const, successor: b }],
])('a shard that is served though %s is dropped', async (_what, record) => {
  const world = new ManagedShards();
  const { clock, fake, manager } = world;
  await world.owning(state);
  world.write({ ...record, epoch: record.epoch || (world.stored()?.epoch ?? 0) });
  await clock.advance(1);
  expect(fake.dropped).toEqual([0]);
  expect(manager.epochOf(0)).toBeUndefined();
});

test('a released shard of this node that it no longer knows of comes back when the successor is gone', async () => {
  const world = new ManagedShards();
  const { clock } = world;
  world.write({ ...nodeA, epoch: 7, state: 'releasing', successor: b });
  await world.begin(nodeA, b);
  await clock.advance(500);
  expect(world.stored()?.state).toBe('releasing');
  world.member(b, 'gone');
  await clock.advance(10);
  expect(world.stored()).toMatchObject({ ...nodeA, state: 'owned' });
});

test.each(['the turns', 'the transfer', 'the release', 'the claim', 'the way back'])(
  'stopped while it waits for %s, it does nothing more',
  async (what) => {
    const world = new ManagedShards();
    const { clock, store, fake, manager } = world;
    const late = new Promise<never>((_resolve, reject) => clock.setTimer(2_000, () => reject(new Error('late'))));
    late.catch(() => {});
    if (what === 'the claim') {
      store.always = { write: { beforeMs: 500, afterMs: 500 } };
      await world.begin(nodeA);
    } else {
      await world.owning(state);
      if (what === 'the turns') fake.onClose = () => new Promise((resolve) => clock.setTimer(1_000, () => resolve([state])));
      if (what === 'the transfer') fake.onSend = () => late;
      if (what === 'the release') store.always = { write: { beforeMs: 500, afterMs: 500 } };
      await world.moveTo(b);
      if (what === 'the way back') {
        store.always = { write: { beforeMs: 500, afterMs: 500 } };
        world.member(b, 'gone');
      }
    }
    await clock.advance(400);
    const opened = fake.opened.length;
    manager.stop();
    await clock.run(manager.drain(), { limitMs: 1 });
    const { writesAsked } = store;
    await clock.advance(5_000);
    expect(fake.opened).toHaveLength(opened);
    expect(store.writesAsked).toBe(writesAsked);
    expect(manager.owned).toBe(0);
  },
);

test('what its host or its transfers throw costs that shard and nothing else', async () => {
  const logged: string[] = [];
  const log: Logger = { ...silentLogger, error: (_fields, message) => logged.push(message) };
  const world = new ManagedShards({ shards: 8, claimsMax: 2, log });
  const { clock, fake, manager } = world;
  const fail = (): never => {
    throw new Error('thrown');
  };
  fake.onOpen = (shard) => (shard < 4 ? fail() : undefined);
  fake.onTake = fail;
  world.write({ ...b, shard: 7, state: 'releasing', successor: nodeA, transfer: 'one' });
  await world.begin(nodeA);
  await clock.advance(1_000);
  expect(fake.opened.map(({ shard }) => shard).toSorted((x, y) => x - y)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect(manager.owned).toBe(8);
  expect(logged).toHaveLength(5);
  fake.onClose = () => Promise.reject(new Error('rejected'));
  await world.moveTo(b);
  await clock.advance(50);
  expect(manager.owned).toBe(8);
  world.member(b, 'gone');
});

test('a lease that comes back is all it takes to go on', async () => {
  const world = new ManagedShards();
  const { clock, store, fake, manager } = world;
  fake.holds = false;
  await world.begin(nodeA);
  await clock.advance(1_000);
  expect(store.writesAsked).toBe(0);
  fake.holds = true;
  manager.schedule();
  await clock.advance(1);
  expect(manager.owned).toBe(1);
});

test('a record that cannot be read is left alone, without a hot loop', async () => {
  const world = new ManagedShards();
  const { clock, store, manager } = world;
  store.table.write('shard.0', '{"from":"the future"}', 0);
  await world.begin(nodeA);
  await clock.advance(10_000);
  expect(store.writesAsked).toBeLessThan(120);
  expect(manager.owned).toBe(0);
});
