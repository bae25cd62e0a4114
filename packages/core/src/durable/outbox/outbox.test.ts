import { expect, test } from 'vitest';
import type { Publish } from '../../contract/transport.ts';
import type { ActorFixture } from '../../testkit/actor-fixture.ts';
import { settled } from '../../testkit/accounts.ts';
import { DurableWorld } from '../../testkit/durable-fixture.ts';
import { errand, inbox, kept } from '../../testkit/errands.ts';

const actors = [errand, inbox, kept];

async function send(world: DurableWorld, node: ActorFixture, input: object, key = 'a', type = 'errand'): Promise<string> {
  return (await settled(world, node.ask(type, key, 'send', input))).outcome;
}

function numbers(world: DurableWorld): readonly number[] {
  return world.published.map(({ data }) => Number(new TextDecoder().decode(data)));
}

async function taken(world: DurableWorld, node: ActorFixture, key = 'a'): Promise<unknown> {
  return (await settled(world, node.ask('inbox', key, 'taken'))).value;
}

test.each(['errand', 'kept'])(
  'the messages of an %s leave after their commit, once and in their order, and the wake record goes when none is left',
  async (type) => {
    const world = await DurableWorld.start();
    const node = world.node(actors);
    expect(await send(world, node, { from: 1, count: 5 }, 'a', type)).toBe('ok');
    expect(await send(world, node, { from: 6, count: 5 }, 'a', type)).toBe('ok');
    await world.clock.advance(1_000);
    expect(numbers(world)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(new Set(world.published.map(({ id }) => id)).size).toBe(10);
    expect(node.metric('perkey_outbox_delivered_total', 'to=subject')).toBe(10);
    // One write of the record for all of it.
    expect(node.metric('perkey_wake_record_writes_total')).toBe(1);
    expect(await world.wakes()).toHaveLength(1);
    await world.clock.advance(10_000);
    expect(await world.wakes()).toEqual([]);
    expect(node.metric('perkey_wakes_kept')).toBe(0);
    // What was delivered is not delivered again by whoever comes next.
    const next = world.node(actors);
    await settled(world, next.ask(type, 'a', 'rung'));
    await world.clock.advance(20_000);
    expect(world.published).toHaveLength(10);
  },
);

test('actors get messages as requests, each once, whatever was repeated', async () => {
  const world = await DurableWorld.start();
  const node = world.node(actors);
  await send(world, node, { from: 1, count: 20, to: 'inbox' });
  await world.clock.advance(5);
  world.lose(node);
  const next = world.node(actors);
  await world.clock.advance(2_000);
  expect(await taken(world, next)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
});

test('a receiver that fails is tried again, and nothing overtakes', async () => {
  const world = await DurableWorld.start();
  let failures = 3;
  const publish =
    (inner: Publish): Publish =>
    async (publication) => {
      failures -= 1;
      if (failures >= 0) throw new Error('not now');
      return inner(publication);
    };
  const node = world.node(actors, { publish });
  await send(world, node, { from: 1, count: 3 });
  await world.clock.advance(5_000);
  expect(numbers(world)).toEqual([1, 2, 3]);
  expect(node.metric('perkey_outbox_failed_tries_total')).toBe(3);
});

test('what nobody takes is put aside after the limit, listed and removed, and the queue goes on', async () => {
  const world = await DurableWorld.start();
  const node = world.node(actors, { durable: { outboxAttemptsMax: 3 } });
  await send(world, node, { from: 1, to: 'nobody' });
  await send(world, node, { from: 2, to: 'refusal' });
  await send(world, node, { from: 3, to: 'inbox' });
  await world.clock.advance(20_000);
  expect(await taken(world, node)).toEqual([3]);
  expect(node.metric('perkey_outbox_dead_total')).toBe(2);
  const said = node.lines.filter(({ message }) => message.startsWith('an outbox message was put aside'));
  expect(said[0]?.fields).toMatchObject({ type: 'errand', key: 'a', number: 1, tries: 3 });
  const dead = await world.clock.run(world.dead.list());
  expect(dead.map(({ number, tries }) => [number, tries])).toEqual([
    [1, 3],
    [2, 1],
  ]);
  expect(dead[1]).toMatchObject({ type: 'errand', key: 'a', message: { to: 'actor', type: 'inbox', method: 'refuse', input: 2 } });
  for (const { id } of dead) await world.clock.run(world.dead.remove(id));
  expect(await world.clock.run(world.dead.list())).toEqual([]);
});

test('what is to be put aside waits for the store, and nothing overtakes it meanwhile', async () => {
  const world = await DurableWorld.start();
  const publish =
    (inner: Publish): Publish =>
    (publication) =>
      String(publication.data) === String(new TextEncoder().encode('1')) ? Promise.reject(new Error('no')) : inner(publication);
  const node = world.node(actors, { publish, durable: { outboxAttemptsMax: 2 } });
  await send(world, node, { from: 1, count: 2 });
  world.faults.unavailable();
  await world.clock.advance(20_000);
  expect([numbers(world), node.metric('perkey_outbox_dead_total')]).toEqual([[], 0]);
  expect(node.lines.filter(({ message }) => message.startsWith('a dead letter could not be stored yet'))).not.toEqual([]);
  world.faults.heal();
  await world.clock.advance(60_000);
  expect([numbers(world), node.metric('perkey_outbox_dead_total')]).toEqual([[2], 1]);
  expect((await world.clock.run(world.dead.list())).map(({ number }) => number)).toEqual([1]);
});

test('an outbox that is full refuses the turn, and nothing of it is stored', async () => {
  const world = await DurableWorld.start();
  let isOpen = false;
  const publish =
    (inner: Publish): Publish =>
    (publication) =>
      isOpen ? inner(publication) : Promise.reject(new Error('closed'));
  const node = world.node(actors, { publish, durable: { outboxPendingMax: 4 } });
  expect(await send(world, node, { from: 1, count: 4 })).toBe('ok');
  const refused = await settled(world, node.ask('errand', 'a', 'send', { from: 5 }));
  expect([refused.outcome, refused.error?.executed]).toEqual(['outbox.full', 'no']);
  expect(await world.events('errand', 'a')).toHaveLength(4);
  isOpen = true;
  await world.clock.advance(2_000);
  expect(await send(world, node, { from: 5 })).toBe('ok');
  await world.clock.advance(1_000);
  expect(numbers(world)).toEqual([1, 2, 3, 4, 5]);
});

test('the store says no to the wake record: the commit is refused and nothing is sent', async () => {
  const world = await DurableWorld.start();
  const node = world.node(actors, { durable: { commitSettleMs: 200 } });
  await world.clock.advance(10);
  world.faults.unavailable();
  const refused = await settled(world, node.ask('errand', 'a', 'rung'));
  expect(refused.outcome).toBe('store.unavailable');
  world.faults.heal();
  await settled(world, node.ask('errand', 'a', 'rung'));
  world.faults.unavailable();
  const asked = await settled(world, node.ask('errand', 'a', 'send', { from: 1 }));
  expect([asked.outcome, asked.error?.executed]).toEqual(['store.unavailable', 'no']);
  world.faults.heal();
  await world.clock.advance(20_000);
  expect(world.published).toEqual([]);
  expect(await world.events('errand', 'a')).toEqual([]);
});

test('receivers that hang hold up no reminders', async () => {
  const world = await DurableWorld.start();
  const publish = (): Publish => () => new Promise<void>(() => {});
  const node = world.node(actors, { publish, durable: { wakesAtOnceMax: 4 } });
  for (let i = 0; i < 20; i += 1) await send(world, node, { from: 1, count: 3 }, `hung${i}`);
  await settled(world, node.ask('errand', 'a', 'remind', { at: world.clock.wall() + 500 }));
  await world.clock.advance(1_000);
  expect((await settled(world, node.ask('errand', 'a', 'rung'))).value).toHaveLength(1);
  expect(node.metric('perkey_wakes_at_work')).toBe(4);
});
