import { expect, test } from 'vitest';
import type { CarriedActor } from '../contract/calls.ts';
import { ManagedShards, nodeA } from '../testkit/ownership/managed-shards.ts';
import type { Incarnated } from './records.ts';

const b: Incarnated = { nodeId: 'b', incarnation: '1-b' };
const c: Incarnated = { nodeId: 'c', incarnation: '1-c' };
const state: CarriedActor = { type: 't', key: 'k', state: { n: 7 } };

test('draining hands everything over, waits for the successor, and ends for good', async () => {
  const world = new ManagedShards();
  const { clock, store, fake, manager } = world;
  await world.owning(state);
  world.member(b);
  let drained = 0;
  for (let i = 0; i < 2; i += 1) void manager.drain().then(() => (drained += 1));
  await clock.advance(1_000);
  expect(fake.closed).toEqual([{ shard: 0, drainMs: 5_000, successor: 'b' }]);
  expect(world.stored()).toMatchObject({ state: 'releasing', successor: b });
  expect(drained).toBe(0);
  world.write({ ...b, epoch: (world.stored()?.epoch ?? 0) + 1 });
  await clock.advance(1);
  expect(drained).toBe(2);
  // Whoever did not know yet that this node leaves gets its shard back: it is not taken by one that will be gone.
  const { writesAsked } = store;
  world.write({ ...b, epoch: (world.stored()?.epoch ?? 0) + 1, state: 'releasing', successor: nodeA, transfer: 'late' });
  await clock.advance(5_000);
  expect(store.writesAsked).toBe(writesAsked);
  await clock.run(manager.drain(), { limitMs: 1 });
});

test('what is released to a draining node goes on to the next one, as long as there is time', async () => {
  const world = new ManagedShards({ shards: 2 });
  const { clock, fake, manager } = world;
  fake.onTake = () => [state];
  await world.begin(nodeA, b);
  const owned = [0, 1].find((shard) => manager.epochOf(shard) !== undefined) ?? 0;
  const shard = 1 - owned;
  void manager.drain();
  world.write({ ...c, shard, epoch: clock.wall() + 1_000, state: 'releasing', successor: nodeA, transfer: 'one' });
  await clock.advance(100);
  expect(world.stored(shard)).toMatchObject({ ...nodeA, state: 'releasing', successor: b });
  expect(fake.sent.at(-1)).toMatchObject({ to: b, actors: [state] });
  await clock.advance(10_000);
  world.member(c, 'gone');
  world.write({ ...c, shard, epoch: clock.wall() + 60_000, state: 'releasing', successor: nodeA, transfer: 'two' });
  await clock.advance(100);
  expect(world.stored(shard)).toMatchObject({ ...c, state: 'releasing' });
});

test('the last node frees its shards', async () => {
  const world = new ManagedShards();
  const { clock, manager } = world;
  await world.owning(state);
  const drained = manager.drain();
  await clock.advance(50);
  expect(world.stored()?.state).toBe('owned');
  world.member(nodeA, 'draining');
  await clock.run(drained, { limitMs: 100 });
  expect(world.stored()?.state).toBe('free');
});

test('a drain ends at once where nothing was ever taken, though nothing is known yet', async () => {
  const world = new ManagedShards();
  const { clock, manager } = world;
  await clock.run(manager.drain(), { limitMs: 1 });
});

test('a drain whose successor cannot be reached makes no hot loop, and ends when the node is stopped', async () => {
  const world = new ManagedShards({ rebalanceDelayMs: 0 });
  const { clock, fake, manager } = world;
  await world.owning(state);
  world.member(b);
  fake.onSend = () => Promise.reject(new Error('link down'));
  const drained = manager.drain();
  await clock.advance(5_000);
  expect(fake.closed.length).toBeLessThan(60);
  manager.stop();
  await clock.run(drained, { limitMs: 1 });
});

test('a node that leaves gives to another one what the wanted one does not take', async () => {
  const world = new ManagedShards();
  const { clock, fake, manager } = world;
  await world.owning(state);
  world.member(b);
  world.member(c);
  await clock.advance(10);
  let wanted: string | undefined;
  fake.onSend = () => {
    wanted ??= fake.sent.at(-1)?.to.nodeId;
    return fake.sent.at(-1)?.to.nodeId === wanted ? Promise.reject(new Error('no answer')) : Promise.resolve(true);
  };
  void manager.drain();
  await clock.advance(200);
  expect(fake.sent).toHaveLength(2);
  expect(world.stored()?.successor?.nodeId).toBe(wanted === 'b' ? 'c' : 'b');
});

test('a node that does not answer holds up only the shards that it was offered first', async () => {
  const world = new ManagedShards({ shards: 64 });
  const { clock, fake, manager } = world;
  await world.begin(nodeA);
  for (let shard = 0; shard < 64; shard += 1) fake.open.set(shard, [state]);
  world.member(b);
  world.member(c);
  await clock.advance(10);
  fake.onSend = () =>
    fake.sent.at(-1)?.to.nodeId === 'b'
      ? new Promise((_resolve, reject) => clock.setTimer(1_000, () => reject(new Error('no answer'))))
      : Promise.resolve(true);
  void manager.drain();
  await clock.advance(1_500);
  const released = Array.from({ length: 64 }, (_, shard) => world.stored(shard)?.successor?.nodeId);
  expect(released.filter((id) => id === 'c')).toHaveLength(64);
});
