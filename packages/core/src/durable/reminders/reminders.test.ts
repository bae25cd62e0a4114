import { expect, test } from 'vitest';
import type { ActorFixture } from '../../testkit/actor-fixture.ts';
import { settled } from '../../testkit/accounts.ts';
import { DurableWorld } from '../../testkit/durable-fixture.ts';
import { errand, inbox, kept } from '../../testkit/errands.ts';

const actors = [errand, inbox, kept];

async function ask(world: DurableWorld, node: ActorFixture, method: string, input?: unknown, type = 'errand'): Promise<unknown> {
  const asked = await settled(world, node.ask(type, 'a', method, input));
  expect(asked.outcome).toBe('ok');
  return asked.value;
}

async function rung(world: DurableWorld, node: ActorFixture, type = 'errand'): Promise<readonly number[]> {
  return (await ask(world, node, 'rung', undefined, type)) as readonly number[];
}

test('once: at its time, not before, and then never again', async () => {
  const world = await DurableWorld.start();
  const node = world.node(actors);
  const at = world.clock.wall() + 10_000;
  await ask(world, node, 'remind', { at });
  expect(await ask(world, node, 'set')).toEqual(['r']);
  await world.clock.advance(at - world.clock.wall() - 1);
  expect(await rung(world, node)).toEqual([]);
  await world.clock.advance(100);
  const [first] = await rung(world, node);
  expect(first).toBeGreaterThanOrEqual(at);
  expect(first).toBeLessThan(at + 50);
  expect(await ask(world, node, 'set')).toEqual([]);
  await world.clock.advance(60_000);
  expect(await rung(world, node)).toHaveLength(1);
  expect(await world.wakes()).toEqual([]);
  expect(node.metric('perkey_reminders_called_total')).toBe(1);
});

test.each(['errand', 'kept'])('an interval and a cron pattern ring on, each time once, over nodes that go and come: %s', async (type) => {
  const world = await DurableWorld.start();
  const first = world.node(actors);
  const start = world.clock.wall();
  await ask(world, first, 'remind', { name: 'i', everyMs: 1_000 }, type);
  await world.clock.advance(3_500);
  expect(await rung(world, first, type)).toHaveLength(3);
  world.lose(first);
  const second = world.node(actors);
  await world.clock.advance(3_000);
  const all = await rung(world, second, type);
  expect(all).toHaveLength(6);
  if (type === 'errand') expect(all.map((at) => Math.floor((at - start) / 1_000))).toEqual([1, 2, 3, 4, 5, 6]);
  await ask(world, second, 'cancel', 'i', type);
  await ask(world, second, 'remind', { name: 'c', cron: '*/2 * * * * *' }, type);
  await world.clock.advance(6_100);
  const more = await rung(world, second, type);
  expect(more).toHaveLength(9);
});

test('no call after a cancel that was acknowledged, also where the call waited already', async () => {
  const world = await DurableWorld.start();
  const node = world.node(actors);
  await ask(world, node, 'remind', { at: world.clock.wall() + 1_000 });
  await world.clock.advance(990);
  world.faults.slow(100);
  const cancelled = node.ask('errand', 'a', 'cancel', 'r');
  await world.clock.advance(5_000);
  expect([cancelled.outcome, cancelled.value]).toEqual(['ok', true]);
  world.faults.heal();
  expect(await rung(world, node)).toEqual([]);
  expect(node.metric('perkey_reminders_called_total')).toBe(0);
});

test.each([
  ['once', 1],
  ['all', 5],
  ['skip', 0],
] as const)('what was missed, by the rule %s', async (missed, count) => {
  const world = await DurableWorld.start();
  const first = world.node(actors);
  await ask(world, first, 'remind', { everyMs: 60_000, missed });
  world.lose(first);
  await world.clock.advance(5 * 60_000 + 30_000);
  const second = world.node(actors);
  await world.clock.advance(1_000);
  expect(await rung(world, second)).toHaveLength(count);
  await world.clock.advance(60_000);
  expect(await rung(world, second)).toHaveLength(count + 1);
});

test('a call that fails is tried again, then left out with a line in the log, and the next time comes', async () => {
  const world = await DurableWorld.start();
  const node = world.node(actors, { durable: { reminderAttemptsMax: 3 } });
  await ask(world, node, 'remind', { everyMs: 10_000, method: 'fail' });
  await world.clock.advance(12_000);
  expect(node.metric('perkey_reminder_failed_tries_total')).toBe(3);
  expect(node.metric('perkey_reminders_skipped_total')).toBe(1);
  expect(node.lines.filter(({ message }) => message.includes('left out'))).toHaveLength(1);
  await world.clock.advance(10_000);
  expect(node.metric('perkey_reminder_failed_tries_total')).toBe(6);
  expect(await ask(world, node, 'set')).toEqual(['r']);
});

test('a call that stores nothing, even of a query, moves its reminder on', async () => {
  const world = await DurableWorld.start();
  for (const type of ['errand', 'kept']) {
    const node = world.node(actors);
    await ask(world, node, 'remind', { at: world.clock.wall() + 1_000, method: 'look' }, type);
    await world.clock.advance(2_000);
    expect(await ask(world, node, 'set', undefined, type)).toEqual([]);
    expect(node.metric('perkey_reminders_called_total')).toBe(1);
    world.lose(node);
  }
});

test('an actor that left memory is woken, and one that has nothing to do is not', async () => {
  const world = await DurableWorld.start();
  const node = world.node(actors, { settings: { passivateAfterMs: 5_000 } });
  await ask(world, node, 'remind', { everyMs: 3_600_000 });
  await world.clock.advance(60_000);
  expect(node.host.control('errand', 'a')).toBeUndefined();
  expect(node.metric('perkey_wakes_kept')).toBe(0);
  await world.clock.advance(3_600_000 - 70_000);
  expect(node.host.control('errand', 'a')).toBeUndefined();
  await world.clock.advance(20_000);
  expect(node.host.control('errand', 'a')).toBeUndefined();
  expect(node.metric('perkey_reminders_called_total')).toBe(1);
  expect(await rung(world, node)).toHaveLength(1);
});

test('the wall clock jumps ahead: what is due rings soon; it jumps back: nothing rings twice or early', async () => {
  const world = await DurableWorld.start();
  const node = world.node(actors);
  const at = world.clock.wall() + 3_600_000;
  await ask(world, node, 'remind', { at });
  world.clock.jumpWall(3_600_000);
  await world.clock.advance(6_000);
  expect(await rung(world, node)).toHaveLength(1);
  await ask(world, node, 'remind', { everyMs: 10_000 });
  await world.clock.advance(11_000);
  expect(await rung(world, node)).toHaveLength(2);
  world.clock.jumpWall(-30_000);
  await world.clock.advance(35_000);
  expect(await rung(world, node)).toHaveLength(2);
  await world.clock.advance(6_000);
  expect(await rung(world, node)).toHaveLength(3);
});

test('thousands that are due at once ring with a bounded number under way', async () => {
  const world = await DurableWorld.start();
  const first = world.node(actors);
  const due = world.clock.wall() + 60_000;
  const asked = Array.from({ length: 2_000 }, (_, index) => first.ask('errand', `k${index}`, 'remind', { at: due }));
  for (const one of asked) await settled(world, one);
  world.lose(first);
  const node = world.node(actors, { durable: { wakesAtOnceMax: 16, wakesKeptMax: 200 } });
  world.faults.slow(2);
  await world.clock.advance(59_000);
  let most = 0;
  for (let i = 0; i < 3_000; i += 1) {
    await world.clock.advance(1);
    most = Math.max(most, node.metric('perkey_wakes_at_work') ?? 0);
  }
  await world.clock.advance(60_000);
  expect(most).toBeLessThanOrEqual(32);
  expect(node.metric('perkey_reminders_called_total')).toBe(2_000);
  expect(most).toBeGreaterThan(8);
});
