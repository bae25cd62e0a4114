import { expect, test } from 'vitest';
import type { OpenStore } from '../contract/store.ts';
import { account, ask, log, settled } from '../testkit/accounts.ts';
import { DurableWorld } from '../testkit/durable-fixture.ts';
import type { AppendFault } from '../testkit/faults/commit-faults.ts';

const five = { amount: 5n };
const alice = { type: 'account', key: 'alice' };

/** What the caller of the first deposit hears, and how often it is stored. */
const answers: readonly [fault: AppendFault, outcome: string, executed: string | undefined, deposits: number][] = [
  ['full', 'store.full', 'no', 0],
  ['unavailable', 'store.unavailable', 'no', 0],
  ['lost', 'ok', undefined, 1],
  ['stored_unknown', 'ok', undefined, 1],
  ['late', 'ok', undefined, 1],
  ['conflict', 'ok', undefined, 1],
  ['stored_conflict', 'ok', undefined, 1],
];

test.each(answers)('an append that is %s ends as %s, and a repeat is executed at most once', async (fault, outcome, executed, deposits) => {
  const world = await DurableWorld.start();
  const node = world.node([account, log]);
  await ask(world, node, 'open', { owner: 'ann' });
  world.faults.nextAppends(fault);
  const first = await ask(world, node, 'deposit', five, { idempotencyKey: 'k' });
  expect([first.outcome, first.error?.executed]).toEqual([outcome, executed]);
  expect((await world.events('account', 'alice')).length).toBe(1 + deposits);
  world.faults.releaseLate();
  await world.clock.advance(100);
  const repeat = await ask(world, node, 'deposit', five, { idempotencyKey: 'k' });
  expect(repeat.value).toBe(5n);
  const other = await ask(world, world.node([account]), 'deposit', five, { idempotencyKey: 'k' });
  expect(other.value).toBe(5n);
  expect(await world.events('account', 'alice')).toEqual([
    ['Opened', { owner: 'ann' }],
    ['Deposited', five],
  ]);
  expect(await world.verify(alice)).toEqual([]);
});

test('a command is not run again when its deadline has passed meanwhile', async () => {
  const world = await DurableWorld.start();
  const node = world.node([account]);
  await ask(world, node, 'open', { owner: 'ann' });
  world.faults.slow(400);
  world.faults.nextAppends('conflict');
  const asked = node.ask('account', 'alice', 'deposit', five, { deadline: world.clock.now() + 500 });
  await world.clock.advance(4_000);
  expect(asked.outcome).not.toBe('ok');
  world.faults.heal();
  expect((await ask(world, node, 'balance')).value).toBe(0n);
  expect(await world.events('account', 'alice')).toEqual([['Opened', { owner: 'ann' }]]);
});

test.each(['lost', 'late', 'stored_unknown'] as const)(
  'a commit that is %s while the store cannot be asked is unknown, and the actor is loaded again before its next turn',
  async (fault) => {
    const world = await DurableWorld.start();
    const node = world.node([account]);
    await ask(world, node, 'deposit', { amount: 1n });
    world.faults.nextAppends(fault);
    world.faults.slow(20);
    const first = node.ask('account', 'alice', 'deposit', five, { idempotencyKey: 'k', deadline: Infinity });
    const balance = node.ask('account', 'alice', 'balance', undefined, { deadline: Infinity });
    await world.clock.advance(15);
    world.faults.unavailable();
    await settled(world, first);
    expect([first.outcome, first.error?.executed]).toEqual(['commit.unknown', 'unknown']);
    await settled(world, balance);
    expect([balance.outcome, balance.error?.executed]).toEqual(['store.unavailable', 'no']);
    world.faults.heal();
    const now = await ask(world, node, 'balance');
    expect(now.value).toBe(fault === 'stored_unknown' ? 6n : 1n);
    world.faults.releaseLate();
    await world.clock.advance(100);
    expect(await world.events('account', 'alice')).toHaveLength(fault === 'stored_unknown' ? 2 : 1);
    expect((await ask(world, node, 'deposit', five, { idempotencyKey: 'k' })).value).toBe(6n);
    expect((await ask(world, node, 'balance')).value).toBe(6n);
    expect(await world.events('account', 'alice')).toHaveLength(2);
    expect(await world.verify(alice)).toEqual([]);
  },
);

test('a repeat whose first execution another owner stored meanwhile gets the reply of that one', async () => {
  const world = await DurableWorld.start();
  const first = world.node([account]);
  const second = world.node([account]);
  await ask(world, second, 'balance');
  expect((await ask(world, first, 'stamp', undefined, { idempotencyKey: 'k' })).value).toBe(7);
  expect((await ask(world, second, 'stamp', undefined, { idempotencyKey: 'k' })).value).toBe(7);
  expect((await ask(world, second, 'stamp', undefined, { idempotencyKey: 'k', caller: 'another' })).outcome).toBe('idempotency.mismatch');
  expect((await ask(world, second, 'stamp', undefined, { idempotencyKey: 'other' })).value).toBe(8);
  expect(await world.events('account', 'alice')).toHaveLength(2);
});

test('what a former owner sent late is kept out by the fence of the next one, also after both believed in themselves', async () => {
  const world = await DurableWorld.start();
  const first = world.node([account, log]);
  await ask(world, first, 'deposit', { amount: 1n });
  const second = world.node([account, log]);
  expect((await ask(world, second, 'deposit', { amount: 2n })).value).toBe(3n);
  const late = await ask(world, first, 'deposit', { amount: 4n });
  expect([late.outcome, late.error?.executed]).toEqual(['shard.moved', 'no']);
  expect((await ask(world, first, 'balance')).outcome).toBe('shard.moved');
  expect((await ask(world, second, 'balance')).value).toBe(3n);
  expect(first.metric('perkey_durable_fence_rejections_total', 'type=account')).toBe(2);
  expect(world.fenced).toEqual([
    [0, 8],
    [0, 8],
  ]);
  const [warning] = first.lines.filter(({ message }) => message.startsWith('a later owner'));
  expect(warning?.fields).toMatchObject({ owner: 'node-1/i1', epoch: 7, laterOwner: 'node-2/i2', laterEpoch: 8 });
  expect(await world.verify(alice)).toEqual([]);
});

test('ten writers of two owners on one stream: one history, every acknowledged commit in it once', async () => {
  const world = await DurableWorld.start();
  let stored = 0n;
  for (let round = 0; round < 50; round += 1) {
    const nodes = [world.node([account]), world.node([account])];
    const asked = Array.from({ length: 10 }, (_, writer) => {
      const node = nodes[writer % 2] as (typeof nodes)[number];
      return node.ask('account', 'alice', 'deposit', { amount: 1n }, { idempotencyKey: `${round}.${writer}`, deadline: Infinity });
    });
    for (const one of asked) await settled(world, one);
    for (const one of asked) {
      expect(['ok', 'shard.moved']).toContain(one.outcome);
      if (one.outcome === 'ok') stored += 1n;
    }
  }
  const commits = await world.commits('account', 'alice');
  const versions = commits.flatMap(({ events }) => events.map(({ version }) => version));
  expect(versions).toEqual(Array.from({ length: Number(stored) }, (_, index) => index + 1));
  expect(await world.verify(alice)).toEqual([]);
  expect((await ask(world, world.node([account]), 'balance')).value).toBe(stored);
  expect(stored).toBeGreaterThanOrEqual(250n);
});

test('a store that is slow makes callers wait, one that is gone is told to them, and nothing is kept against the actor', async () => {
  const world = await DurableWorld.start();
  const node = world.node([account]);
  world.faults.unavailable();
  for (let i = 0; i < 8; i += 1) {
    const refused = await ask(world, node, 'deposit', five);
    expect([refused.outcome, refused.error?.executed]).toEqual(['store.unavailable', 'no']);
  }
  world.faults.heal();
  world.faults.slow(500);
  const slow = node.ask('account', 'alice', 'deposit', five);
  await world.clock.advance(300);
  expect(slow.outcome).toBe('waiting');
  await settled(world, slow);
  expect(slow.value).toBe(5n);
  world.faults.heal();
  world.faults.full();
  expect((await ask(world, node, 'deposit', five)).outcome).toBe('store.full');
  world.faults.heal();
  expect((await ask(world, node, 'deposit', five)).value).toBe(10n);
});

test('a lease that lapsed before the append keeps the commit from being sent', async () => {
  const world = await DurableWorld.start();
  const node = world.node([account]);
  await ask(world, node, 'deposit', five);
  const slow = node.ask('account', 'alice', 'slowDeposit', five);
  node.mayAct = false;
  await world.clock.settle();
  node.mayAct = true;
  node.host.resume();
  expect([slow.outcome, slow.error?.executed]).toEqual(['shard.moved', 'no']);
  expect(await world.events('account', 'alice')).toHaveLength(1);
  expect((await ask(world, node, 'balance')).value).toBe(5n);
});

test('a lease that lapsed between the append and its answer withholds the reply; with the shard lost it is unknown', async () => {
  const world = await DurableWorld.start();
  const node = world.node([account]);
  await ask(world, node, 'deposit', five);
  const asked = node.ask('account', 'alice', 'deposit', five);
  node.mayAct = false;
  await world.clock.advance(50);
  expect(asked.outcome).toBe('waiting');
  node.host.dropShard(0);
  expect([asked.outcome, asked.error?.executed]).toEqual(['turn.abandoned', 'unknown']);
  expect(await world.events('account', 'alice')).toHaveLength(2);
});

test('a move waits for the commit under way, and one that is given up is settled before the key is served again', async () => {
  const world = await DurableWorld.start();
  const node = world.node([account]);
  await ask(world, node, 'deposit', five);
  world.faults.nextAppends('stored_late_answer');
  const moved = node.ask('account', 'alice', 'deposit', five);
  const closing = node.host.closeShard(0, { drainMs: 1_000, successor: undefined });
  await world.clock.advance(10);
  expect(moved.outcome).toBe('waiting');
  world.faults.releaseLate();
  expect(await world.clock.run(closing)).toEqual([]);
  expect(moved.value).toBe(10n);
  node.host.openShard(0, 20, []);
  await ask(world, node, 'balance');
  world.faults.nextAppends('late');
  world.faults.slow(200);
  const given = node.ask('account', 'alice', 'deposit', five);
  await world.clock.advance(10);
  const again = node.host.closeShard(0, { drainMs: 100, successor: undefined });
  await world.clock.run(again);
  expect([given.outcome, given.error?.executed]).toEqual(['turn.abandoned', 'unknown']);
  world.faults.heal();
  node.host.openShard(0, 20, []);
  expect((await ask(world, node, 'balance')).value).toBe(10n);
  await world.clock.advance(300);
  world.faults.releaseLate();
  await world.clock.advance(100);
  expect(await world.events('account', 'alice')).toHaveLength(2);
  expect((await ask(world, node, 'deposit', five)).value).toBe(15n);
});

test('a log that rejects or throws, against its law, has said nothing: what it was given is looked for, and counts once', async () => {
  const world = await DurableWorld.start();
  let fault: 'none' | 'before' | 'after' | 'thrown' = 'none';
  const through = (store: OpenStore): OpenStore => ({
    ...store,
    shardsHeld: () => store.shardsHeld(),
    close: () => store.close(),
    events: {
      bodyBytesMax: store.events.bodyBytesMax,
      read: (read) => store.events.read(read),
      last: () => store.events.last(),
      barrier: () => store.events.barrier(),
      trim: (stream, before) => store.events.trim(stream, before),
      append: (append) => {
        const now = fault;
        fault = 'none';
        if (now === 'thrown') throw new Error('thrown');
        if (now === 'before') return Promise.reject(new Error('rejected'));
        const sent = store.events.append(append);
        return now === 'none' ? sent : sent.then(() => Promise.reject(new Error('rejected')));
      },
    },
  });
  const node = world.node([account], { through });
  await ask(world, node, 'deposit', five);
  for (const next of ['before', 'after', 'thrown'] as const) {
    fault = next;
    expect((await ask(world, node, 'deposit', five)).outcome).toBe('ok');
  }
  expect((await ask(world, node, 'balance')).value).toBe(20n);
  expect(await world.events('account', 'alice')).toHaveLength(4);
});
