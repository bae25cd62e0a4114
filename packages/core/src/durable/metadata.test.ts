import { expect, test } from 'vitest';
import type { InboundRequest } from '../contract/calls.ts';
import type { ActorFixture } from '../testkit/actor-fixture.ts';
import { account, settled } from '../testkit/accounts.ts';
import { DurableWorld } from '../testkit/durable-fixture.ts';
import { errand, inbox, kept } from '../testkit/errands.ts';

const actors = [account, errand, inbox, kept];
const trace = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

async function eventOf(world: DurableWorld, type: string, key = 'a') {
  const [commit] = (await world.commits(type, key)).slice(-1);
  return { id: commit?.events[0]?.id, commitId: commit?.id, metadata: commit?.metadata };
}

async function did(world: DurableWorld, node: ActorFixture, more: Partial<InboundRequest>): Promise<void> {
  expect((await settled(world, node.ask('account', 'a', 'deposit', { amount: 1n }, more))).outcome).toBe('ok');
}

test('an event of a command with an idempotency key has the same id wherever it is executed; without one it has one of its own', async () => {
  const idOf = async (more: Partial<InboundRequest>, nodesBefore = 0): Promise<unknown> => {
    const world = await DurableWorld.start();
    for (let before = 0; before < nodesBefore; before += 1) world.node(actors);
    await did(world, world.node(actors), more);
    return (await eventOf(world, 'account')).id;
  };
  const first = await idOf({ idempotencyKey: 'k' });
  expect(first).toMatch(/^[\w-]{22}-0$/);
  expect(await idOf({ idempotencyKey: 'k' }, 2)).toBe(first);
  const others = [idOf({ idempotencyKey: 'other' }), idOf({ idempotencyKey: 'k', caller: 'client-2' }), idOf({}), idOf({}, 2)];
  expect(new Set([first, ...(await Promise.all(others))]).size).toBe(5);
});

test('an event says what its command said of its story, and whose name is proven', async () => {
  const world = await DurableWorld.start();
  const node = world.node(actors);
  const headers = { 'correlation-id': 'order-7', 'causation-id': 'click-1', traceparent: trace, cookie: 'secret' };
  await did(world, node, { headers, source: { origin: 'client', principal: 'ann' } });
  expect((await eventOf(world, 'account')).metadata).toEqual({
    ...{ correlation: 'order-7', causation: 'click-1', trace, principal: 'ann' },
  });
  await did(world, node, { caller: 'bob', source: { origin: 'client', principal: '' } });
  expect((await eventOf(world, 'account')).metadata).toEqual({});
});

test('a message of an outbox carries the story on; what it leads to names the commit that wrote it', async () => {
  const world = await DurableWorld.start();
  const node = world.node(actors);
  const headers = { 'correlation-id': 'order-7', 'causation-id': 'click-1', traceparent: trace, cookie: 'secret' };
  await settled(world, node.ask('errand', 'a', 'send', { from: 1, to: 'inbox' }, { headers }));
  const sent = await eventOf(world, 'errand');
  await world.clock.advance(1_000);
  expect((await eventOf(world, 'inbox')).metadata).toEqual({
    correlation: 'order-7',
    causation: sent.commitId,
    trace,
    principal: undefined,
  });
  expect(sent.id).toBe(`${sent.commitId}-0`);

  for (const type of ['errand', 'kept']) {
    await settled(world, node.ask(type, 'b', 'send', { from: 1 }, { headers }));
    const [commit] = await world.commits(type, 'b', type === 'kept' ? 'states' : 'events');
    await world.clock.advance(1_000);
    const story = { 'correlation-id': 'order-7', 'causation-id': commit!.id, traceparent: trace };
    expect(world.published.at(-1)).toMatchObject({ subject: 'numbers.sent', headers: story });
    expect(world.published.at(-1)?.headers).not.toHaveProperty('cookie');
  }
  const broken = { 'correlation-id': 'x\r\nNats-Rollup: all', baggage: '\u{1f600}', traceparent: trace };
  await settled(world, node.ask('errand', 'd', 'send', { from: 1 }, { headers: broken }));
  await world.clock.advance(1_000);
  expect(Object.keys(world.published.at(-1)?.headers ?? {}).sort()).toEqual(['causation-id', 'traceparent']);

  await settled(world, node.ask('errand', 'c', 'send', { from: 1 }));
  await world.clock.advance(1_000);
  const [first] = await world.commits('errand', 'c');
  expect(world.published.at(-1)?.headers).toEqual({ 'causation-id': first?.id });
});
