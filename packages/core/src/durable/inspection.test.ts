import { expect, test } from 'vitest';
import { account, settled } from '../testkit/accounts.ts';
import { DurableWorld } from '../testkit/durable-fixture.ts';
import { errand, kept } from '../testkit/errands.ts';

const second = 1_000;

test('one actor in memory is shown with its version, its last commit, what waits in its outbox, and its reminders', async () => {
  const world = await DurableWorld.start();
  let mayPublish = false;
  const publish =
    (inner: (publication: never) => Promise<void>) =>
    async (publication: never): Promise<void> => {
      if (!mayPublish) throw new Error('not now');
      await inner(publication);
    };
  const node = world.node([errand, kept], { publish: publish as never });
  expect(node.host.inspectActor('errand', 'a')).toBeUndefined();
  expect(node.host.inspectActor('nothing', 'a')).toBeUndefined();

  for (const type of ['errand', 'kept']) {
    const at = world.clock.wall();
    await settled(world, node.ask(type, 'a', 'send', { from: 1, count: 3 }));
    const [last] = (await world.commits(type, 'a', type === 'kept' ? 'states' : 'events')).slice(-1);
    const shown = node.host.inspectActor(type, 'a');
    expect(shown).toEqual({
      ...{ type, key: 'a', waiting: 0, status: 'idle' },
      durable: {
        ...{ version: last!.version, sequence: last!.sequence, epoch: 7, owner: 'node-1/i1', committedAt: last!.at },
        ...{ outboxPending: 3, reminders: [], snapshotVersion: undefined, isStale: false },
      },
    });
    expect(last!.at).toBeGreaterThanOrEqual(at);
    expect(structuredClone(shown)).toEqual(shown);
    await settled(world, node.ask(type, 'a', 'remind', { name: 'tomorrow', at: at + 86_400 * second }));
    expect(node.host.inspectActor(type, 'a')?.durable?.reminders).toEqual([{ name: 'tomorrow', dueAt: at + 86_400 * second }]);
  }
  mayPublish = true;
  await world.clock.advance(30 * second);
  for (const type of ['errand', 'kept']) expect(node.host.inspectActor(type, 'a')?.durable?.outboxPending).toBe(0);
});

test('the newest snapshot that was saved here is shown; a next owner shows the one that it used', async () => {
  const world = await DurableWorld.start();
  const node = world.node([account], { durable: { snapshotEvery: 10 } });
  await settled(world, node.ask('account', 'a', 'open', { owner: 'ann' }));
  const snapshotOf = (one: typeof node) => one.host.inspectActor('account', 'a')?.durable?.snapshotVersion;
  expect(snapshotOf(node)).toBeUndefined();
  await settled(world, node.ask('account', 'a', 'many', { count: 24 }));
  await world.clock.advance(second);
  expect([snapshotOf(node), node.host.inspectActor('account', 'a')?.durable?.version]).toEqual([25, 25]);
  const next = world.node([account]);
  await settled(world, next.ask('account', 'a', 'balance'));
  expect(next.host.inspectActor('account', 'a')?.durable).toMatchObject({ snapshotVersion: 25, version: 25, owner: 'node-2/i2', epoch: 8 });
});

test('what may be older than the store is shown as that; the mailboxes that wait show their actors in the same way', async () => {
  const world = await DurableWorld.start();
  const former = world.node([account]);
  await settled(world, former.ask('account', 'a', 'deposit', { amount: 1n }));
  const next = world.node([account]);
  await settled(world, next.ask('account', 'a', 'deposit', { amount: 1n }));
  await settled(world, former.ask('account', 'a', 'deposit', { amount: 1n }));
  expect(former.host.inspectActor('account', 'a')?.durable).toMatchObject({ isStale: true, version: 2, owner: 'node-2/i2' });

  next.ask('account', 'a', 'slowDeposit', { amount: 1n });
  next.ask('account', 'a', 'balance');
  const [deepest] = next.host.inspect(1).deepest;
  expect(deepest).toMatchObject({ key: 'a', waiting: 1, durable: { version: 2, isStale: false } });
});
