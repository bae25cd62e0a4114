import { expect, test } from 'vitest';
import type { CarriedActor } from '../contract/calls.ts';
import { ManagedShards, nodeA } from '../testkit/ownership/managed-shards.ts';
import type { Incarnated } from './records.ts';

const b: Incarnated = { nodeId: 'b', incarnation: '1-b' };
const c: Incarnated = { nodeId: 'c', incarnation: '1-c' };
const state: CarriedActor = { type: 't', key: 'k', state: { n: 7 } };

/** Node a has the store `sa` and serves shard 0, as its only member. */
async function serving(held: readonly number[] = []): Promise<ManagedShards> {
  const world = new ManagedShards({ privateId: 'sa', held });
  world.member(nodeA, 'active', 'sa');
  world.members.onSynced();
  world.table.onSynced();
  await world.clock.advance(0);
  expect(world.fake.opened).toHaveLength(1);
  return world;
}

function ensure({ homes, manager }: ManagedShards, shard = 0): true | Promise<boolean> {
  const epoch = manager.epochOf(shard) ?? 0;
  return homes.ensure(shard, epoch, () => manager.epochOf(shard) === epoch);
}

test('nothing has to be done where the node has no private store', async () => {
  const world = new ManagedShards();
  await world.begin(nodeA);
  expect(ensure(world)).toBe(true);
  expect(world.stored()?.home).toBeUndefined();
});

test('a shard gets its home once, under the epoch that it has', async () => {
  const world = await serving();
  const before = world.stored();
  const [first, second] = [ensure(world), ensure(world)];
  expect(await world.clock.run(Promise.all([first, second]))).toEqual([true, true]);
  expect(world.stored()).toEqual({ ...before, home: 'sa' });
  const { writesAsked } = world.store;
  expect(ensure(world)).toBe(true);
  expect(world.store.writesAsked).toBe(writesAsked);
});

test('a shard with a home stays, whatever placement says; one without goes', async () => {
  const pinned = await serving();
  await pinned.clock.run(Promise.resolve(ensure(pinned)));
  const free = await serving();
  for (const world of [pinned, free]) {
    world.member(b, 'active', 'sb');
    world.member(nodeA, 'draining', 'sa');
    await world.clock.advance(1_000);
  }
  expect(pinned.manager.epochOf(0)).toBeDefined();
  expect(pinned.fake.closed).toEqual([]);
  expect(free.fake.closed).toMatchObject([{ successor: 'b' }]);
});

test('a node that leaves frees a shard with a home at once, and the home stays in its record', async () => {
  const world = await serving();
  await world.clock.run(Promise.resolve(ensure(world)));
  world.member(b, 'active', 'sb');
  world.member(nodeA, 'draining', 'sa');
  await world.clock.run(world.manager.drain());
  expect(world.stored()).toMatchObject({ state: 'free', home: 'sa' });
  expect(world.fake.sent).toEqual([]);
});

test('a shard whose home is another store is not claimed, also when its owner is gone; by the node that has the store it is', async () => {
  const world = new ManagedShards({ privateId: 'sa' });
  world.write({ ...b, home: 'sb' });
  world.member(b, 'gone', 'sb');
  world.member(nodeA, 'active', 'sa');
  world.members.onSynced();
  world.table.onSynced();
  await world.clock.advance(10_000);
  expect(world.store.writesAsked).toBe(0);
  const other = new ManagedShards({ privateId: 'sb' });
  other.write({ ...b, home: 'sb' });
  other.member(b, 'gone', 'sb');
  other.member(nodeA, 'active', 'sb');
  other.member(c, 'active', 'sc');
  other.members.onSynced();
  other.table.onSynced();
  await other.clock.advance(10);
  expect(other.stored()).toMatchObject({ ...nodeA, state: 'owned', home: 'sb' });
});

test('nothing is pinned while the shard is on its way out, so nothing may be written for it', async () => {
  const world = await serving();
  world.fake.open.set(0, [state]);
  world.fake.onSend = () => new Promise(() => {});
  const epoch = world.manager.epochOf(0) ?? 0;
  await world.moveTo(b);
  expect(world.fake.closed).toHaveLength(1);
  expect(await world.clock.run(Promise.resolve(world.homes.ensure(0, epoch, () => world.manager.epochOf(0) === epoch)))).toBe(false);
  expect(world.stored()?.home).toBeUndefined();
});

test('a handoff does not begin while the home is being written, and not afterwards', async () => {
  const world = await serving();
  world.store.nextWrites({ afterMs: 500 });
  const pinned = Promise.resolve(ensure(world));
  await world.moveTo(b);
  expect(world.fake.closed).toEqual([]);
  expect(await world.clock.run(pinned)).toBe(true);
  await world.clock.advance(1_000);
  expect(world.fake.closed).toEqual([]);
});

test.each(['refused', 'unavailable', 'applied-refused', 'applied-unavailable'] as const)(
  'a pin that ends %s is settled before anything is written',
  async (end) => {
    const world = await serving();
    world.store.nextWrites({ end });
    expect(await world.clock.run(Promise.resolve(ensure(world)))).toBe(true);
    expect(world.stored()?.home).toBe('sa');
  },
);

test('a pin that comes too late because the shard got another home is refused', async () => {
  const world = await serving();
  world.write({ ...world.stored()!, home: 'sb' }, false);
  expect(await world.clock.run(Promise.resolve(ensure(world)))).toBe(false);
  expect(world.stored()?.home).toBe('sb');
});

test('a handoff that is overtaken by a new home keeps the state and goes on', async () => {
  const world = await serving();
  world.fake.open.set(0, [state]);
  let acknowledge = (_held: boolean): void => {};
  world.fake.onSend = () => new Promise((resolve) => (acknowledge = resolve));
  await world.moveTo(b);
  world.write({ ...world.stored()!, home: 'sa' }, false);
  acknowledge(true);
  await world.clock.advance(1_000);
  expect(world.fake.opened.at(-1)?.carried).toEqual([state]);
  expect(world.manager.epochOf(0)).toBeDefined();
});

test('what a store holds when its node joins becomes its own first, unless it belongs to another store', async () => {
  const world = new ManagedShards({ privateId: 'sa', held: [0, 1], shards: 3 });
  world.write({ ...b, shard: 1 });
  await world.clock.run(world.homes.claimHeld(() => true));
  expect(world.stored(0)).toMatchObject({ state: 'free', home: 'sa' });
  expect(world.stored(1)).toMatchObject({ ...b, state: 'owned', home: 'sa' });
  expect(world.stored(2)).toBeUndefined();

  const other = new ManagedShards({ privateId: 'sa', held: [0] });
  other.write({ ...b, home: 'sb' });
  const failure = other.clock.run(other.homes.claimHeld(() => true));
  await expect(failure).rejects.toMatchObject({ code: 'store.mismatch', details: { shard: 0, store: 'sa', home: 'sb' } });
});
