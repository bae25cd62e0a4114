import { expect, test } from 'vitest';
import type { OpenStore } from '../contract/store.ts';
import { account, counter, settled } from '../testkit/accounts.ts';
import type { ActorFixture, Asked } from '../testkit/actor-fixture.ts';
import { DurableWorld } from '../testkit/durable-fixture.ts';

/** The actors that are kept by their events, and by their state: how they change, how they are read, and what that comes to. */
const kinds = [
  { type: 'account', change: 'deposit', input: { amount: 5n }, read: 'balance', none: 0n, once: 5n },
  { type: 'counter', change: 'add', input: 5, read: 'get', none: 0, once: 5 },
] as const;

interface Setting {
  readonly world: DurableWorld;
  readonly former: ActorFixture;
  readonly next: ActorFixture;
  /** Times at which the next owner set a barrier, by the log. */
  readonly barriers: { events: number; states: number };
}

/** A former owner, and the next one whose connection to the store is one of its own. */
async function setting(): Promise<Setting> {
  const world = await DurableWorld.start();
  const other = await world.openFor('m');
  const barriers = { events: 0, states: 0 };
  const counted = (log: 'events' | 'states'): OpenStore['events'] => ({
    bodyBytesMax: other[log].bodyBytesMax,
    append: (append) => other[log].append(append),
    read: (read) => other[log].read(read),
    last: () => other[log].last(),
    trim: (stream, before) => other[log].trim(stream, before),
    barrier: () => {
      barriers[log] += 1;
      return other[log].barrier();
    },
  });
  const through = (): OpenStore => ({
    ...other,
    events: counted('events'),
    states: counted('states'),
    shardsHeld: () => other.shardsHeld(),
    close: () => other.close(),
  });
  const former = world.node([account, counter]);
  return { world, former, next: world.node([account, counter], { through }), barriers };
}

test.each(kinds)('a new owner of a $type does not take it for empty on the word of a log that is behind', async (kind) => {
  const { world, former, next } = await setting();
  const ask = (node: ActorFixture, method: string, input?: unknown): Promise<Asked> =>
    settled(world, node.ask(kind.type, 'alice', method, input));
  world.store.of('m').staleReads(0);
  expect((await ask(former, kind.change, kind.input)).value).toBe(kind.once);
  world.lose(former);
  const early = await ask(next, kind.read);
  expect([early.outcome, early.error?.executed]).toEqual(['store.unavailable', 'no']);
  world.store.healAll();
  expect((await ask(next, kind.read)).value).toBe(kind.once);
});

test.each(kinds)(
  'a $type of which there is nothing is loaded, also from a log that is behind the newest and not behind the claim',
  async (kind) => {
    const { world, former, next } = await setting();
    const ask = (node: ActorFixture, key: string, method: string, input?: unknown): Promise<Asked> =>
      settled(world, node.ask(kind.type, key, method, input));
    await ask(former, 'alice', kind.change, kind.input);
    world.lose(former);
    expect((await ask(next, 'bob', kind.read)).value).toBe(kind.none);
    world.store.of('m').staleReads(world.store.lastOf('events'), world.store.lastOf('states'));
    expect((await ask(next, 'carol', kind.read)).value).toBe(kind.none);
  },
);

test('one barrier for each claim of a shard, and none for actors that have records', async () => {
  const { world, former, next, barriers } = await setting();
  const read = (key: string): Promise<Asked> => settled(world, next.ask('account', key, 'balance'));
  await settled(world, former.ask('account', 'alice', 'deposit', { amount: 5n }));
  world.lose(former);
  expect((await read('alice')).value).toBe(5n);
  expect(barriers).toEqual({ events: 0, states: 0 });
  for (const key of ['a', 'b', 'c']) expect((await read(key)).value).toBe(0n);
  expect(barriers).toEqual({ events: 1, states: 0 });
  world.lose(next);
  next.mayAct = true;
  next.host.openShard(0, 20, []);
  for (const key of ['a', 'b']) expect((await read(key)).value).toBe(0n);
  expect(barriers).toEqual({ events: 2, states: 0 });
});

test('a log that does not say how far it is refuses actors of which it shows nothing, and is asked again for the next one', async () => {
  const { world, next } = await setting();
  const read = (): Promise<Asked> => settled(world, next.ask('account', 'alice', 'balance'));
  world.store.of('m').full();
  const early = await read();
  expect([early.outcome, early.error?.executed]).toEqual(['store.full', 'no']);
  world.store.healAll();
  expect((await read()).value).toBe(0n);
});

test('a new owner that cannot fence, since there is no room, says so at once, and has the actor when there is room again', async () => {
  const { world, former, next } = await setting();
  await settled(world, former.ask('account', 'alice', 'deposit', { amount: 5n }));
  world.lose(former);
  world.store.of('m').full();
  const early = await settled(world, next.ask('account', 'alice', 'balance'));
  expect([early.outcome, early.error?.executed]).toEqual(['store.full', 'no']);
  world.store.healAll();
  expect((await settled(world, next.ask('account', 'alice', 'balance'))).value).toBe(5n);
});
