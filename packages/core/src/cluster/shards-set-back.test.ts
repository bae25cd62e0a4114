import { expect, test } from 'vitest';
import type { CarriedActor } from '../contract/calls.ts';
import { ManagedShards, nodeA } from '../testkit/ownership/managed-shards.ts';
import type { Incarnated, ShardRecord } from './records.ts';

const b: Incarnated = { nodeId: 'b', incarnation: '1-b' };
const state: CarriedActor = { type: 't', key: 'k', state: { n: 7 } };

/** All that the store has is told anew, as after a reconnect. */
function listed(world: ManagedShards): void {
  world.hear(0);
  world.table.onSynced();
}

test('a store that was set back is claimed anew', async () => {
  const world = new ManagedShards();
  const { clock, store, fake } = world;
  store.table.write('other', 'x', 0);
  world.write({ ...b });
  await world.begin(nodeA, b);
  store.table.restore([]);
  world.member(b, 'gone');
  await clock.advance(30_000);
  expect(fake.opened).toHaveLength(1);
});

test('a record of another store, made anew after a loss, counts by its epoch', async () => {
  const world = new ManagedShards();
  const { clock, fake, table } = world;
  await world.owning(state);
  const lost = { ...b, shard: 0, epoch: (world.stored()?.epoch ?? 0) + 1, state: 'owned' };
  table.onRecord({ key: 'shard.0', value: JSON.stringify(lost), revision: 0.5 });
  await clock.advance(1);
  expect(fake.dropped).toEqual([0]);
});

test('what a store that was set back no longer knows is claimed anew by its owner, with the state', async () => {
  const world = new ManagedShards();
  const { clock, store, fake } = world;
  await world.owning(state);
  listed(world);
  const { epoch = 0 } = world.stored() ?? {};
  store.table.restore([{ key: 'shard.0', value: JSON.stringify({ ...b, shard: 0, epoch: 5, state: 'owned' }), revision: 1 }]);
  listed(world);
  await clock.advance(500);
  expect(world.stored()).toMatchObject({ ...nodeA, state: 'owned' });
  expect(world.stored()?.epoch).toBeGreaterThan(epoch);
  expect(fake.opened.at(-1)).toEqual({ shard: 0, epoch: world.stored()?.epoch, carried: [state] });
});

test('an old answer of the store (H3) costs the owner of a shard a moment, and no state', async () => {
  const world = new ManagedShards();
  const { clock, store, fake, table } = world;
  await world.owning(state);
  listed(world);
  const { epoch } = world.stored() ?? {};
  table.onRecord({ key: 'shard.0', value: JSON.stringify({ ...b, shard: 0, epoch: 5, state: 'owned' }), revision: 0 });
  table.onSynced();
  await clock.advance(50);
  expect(store.writesAsked).toBeGreaterThan(1);
  world.hear(0);
  await clock.advance(2_000);
  expect(world.stored()).toMatchObject({ ...nodeA, epoch, state: 'owned' });
  expect(fake.opened.at(-1)).toEqual({ shard: 0, epoch, carried: [state] });
});

test('a shard that was released, of which a store that was set back knows nothing, comes back to who holds its state', async () => {
  const world = new ManagedShards();
  const { clock, store, fake } = world;
  await world.owning(state);
  listed(world);
  const backup = store.table.records();
  await world.moveTo(b);
  expect(world.stored()).toMatchObject({ ...nodeA, state: 'releasing' });
  store.table.restore(backup);
  listed(world);
  await clock.advance(500);
  expect(fake.opened.at(-1)).toMatchObject({ shard: 0, carried: [state] });
});

test('a shard that a store which was set back gives to its former owner is claimed above what was seen since, and goes where it belongs', async () => {
  const world = new ManagedShards();
  const { clock, store, fake } = world;
  await world.owning(state);
  listed(world);
  const backup = store.table.records();
  await world.moveTo(b);
  const { epoch = 0 } = world.stored() ?? {};
  world.write({ ...b, epoch: epoch + 1_000_000 });
  await clock.advance(100);
  const opened = fake.opened.length;
  // Its owner dies and comes back: nobody would say again by itself that the shard is its own.
  world.member({ nodeId: 'b', incarnation: '2-b' });
  store.table.restore(backup);
  listed(world);
  await clock.advance(500);
  expect(fake.opened.slice(opened)).toMatchObject([{ shard: 0, carried: [] }]);
  expect(fake.opened.at(-1)?.epoch).toBeGreaterThan(epoch + 1_000_000);
  expect(world.stored()).toMatchObject({ ...nodeA, state: 'releasing', successor: { nodeId: 'b', incarnation: '2-b' } });
});

/** A write that was on its way when the store was set back, upon a revision that was given once more since. */
function takeLateWrite(world: ManagedShards, record: Partial<ShardRecord> & Incarnated): void {
  world.write({ epoch: (world.stored()?.epoch ?? 0) - 1_000, ...record });
}

test('what the store takes late, from before it was set back, is taken back by the owner of the shard, with the state', async () => {
  const world = new ManagedShards();
  const { clock, fake } = world;
  await world.owning(state);
  listed(world);
  const { epoch = 0 } = world.stored() ?? {};
  takeLateWrite(world, { ...b, state: 'releasing', successor: nodeA });
  await clock.advance(500);
  expect(world.stored()).toMatchObject({ ...nodeA, state: 'owned' });
  expect(world.stored()?.epoch).toBeGreaterThan(epoch);
  expect(fake.opened.at(-1)).toEqual({ shard: 0, epoch: world.stored()?.epoch, carried: [state] });
});

test('a shard whose owner has ended is claimed upon what the store has taken late', async () => {
  const world = new ManagedShards();
  const { clock, fake } = world;
  world.write({ ...b, epoch: 9_000 });
  await world.begin(nodeA, b);
  takeLateWrite(world, { nodeId: 'c', incarnation: '1-c' });
  world.member({ nodeId: 'c', incarnation: '1-c' }, 'gone');
  world.member(b, 'gone');
  await clock.advance(5_000);
  expect(fake.opened).toMatchObject([{ shard: 0 }]);
  expect(fake.opened[0]?.epoch).toBeGreaterThan(9_000);
  expect(world.stored()).toMatchObject({ ...nodeA, state: 'owned' });
});
