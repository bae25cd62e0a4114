import { expect, test } from 'vitest';
import { Load } from './support/load.ts';
import { machineMs } from './support/machine-clock.ts';
import { World } from './support/world.ts';

test('two nodes under one id: the second waits and says so, or gives up; it takes over when the first has died', async () => {
  await using world = await World.start({ nodes: ['a', 'b'] });
  const { observer } = world;
  const keys = world.keysOf(['a', 'b'], 8);
  const keysOfA = keys.slice(0, 8);
  const load = new Load({ sender: 'c', client: await world.client(), keys, everyMs: 20 });
  await load.start();
  const before = observer.snapshot();
  const first = world.node('a');

  const second = await world.spawn('a');
  await second.until('it says what it waits for', () => second.logged('another node holds this id').length > 0);
  const saidAt = machineMs();
  const third = await world.spawn('a', { onDuplicateId: 'exit' });
  await third.until('it gives up', () => !third.running);
  expect(third.failure).toMatchObject({ code: 'node.duplicate_id' });
  expect(third.failure?.message).toContain('"a"');
  await load.until('the second waits longer than any lease', () => machineMs() - saidAt > 3_000);
  expect(second.incarnations).toEqual([]);
  expect(await observer.readSnapshot()).toBe(before);
  expect(observer.members.get('a')).toMatchObject({ incarnation: first.incarnation, state: 'active' });
  expect(load.tally()).toEqual({ ok: expect.any(Number) as number });

  const killedAt = machineMs();
  await first.kill();
  await second.ready();
  const joinedMs = machineMs() - killedAt;
  const gapMs = await load.recovered(keysOfA, killedAt, first.incarnation);
  await observer.settled(['a', 'b']);
  await load.stop();
  console.log({ joinedMs, gapMs, ...load.tally() });
  expect(joinedMs).toBeLessThan(5_000);
  expect(gapMs).toBeLessThan(5_000);
  expect(second.incarnations).toHaveLength(1);
  expect(second.logged('another node holds this id')).toHaveLength(1);
  expect(world.violations(load)).toEqual([]);
});

test('a node that crashed and starts again under its id waits for its former lease, and then serves as a new incarnation', async () => {
  await using world = await World.start({ nodes: ['a', 'b'] });
  const keys = world.keysOf(['a', 'b'], 8);
  const load = new Load({ sender: 'c', client: await world.client(), keys, everyMs: 20 });
  await load.start();
  const first = world.node('a');
  const killedAt = machineMs();
  await first.kill();
  const second = await world.spawn('a');
  await second.ready();
  const joinedMs = machineMs() - killedAt;
  await load.recovered(keys.slice(0, 8), killedAt, first.incarnation);
  await world.observer.settled(['a', 'b']);
  await load.recovered(keys, machineMs());
  await load.stop();
  console.log({ joinedMs, ...load.tally() });
  expect(joinedMs).toBeGreaterThan(1_500);
  expect(joinedMs).toBeLessThan(5_000);
  expect(second.incarnation > first.incarnation).toBe(true);
  const { ok: _, ...others } = load.tally();
  expect(Object.keys(others).filter((name) => name !== 'unknown node.lost')).toEqual([]);
  expect(load.tally(0, Infinity, keys.slice(8))).toEqual({ ok: expect.any(Number) as number });
  expect(world.violations(load)).toEqual([]);
});
