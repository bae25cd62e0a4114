import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineActor } from '../actor/definition.ts';
import type { PerkeyError } from '../base/errors.ts';
import type { Asked } from '../testkit/actor-fixture.ts';
import { account, ask, log, settled } from '../testkit/accounts.ts';
import { DurableWorld } from '../testkit/durable-fixture.ts';

test('what a command raised is stored before it is answered, and is there after the actor was given up and on another node', async () => {
  const world = await DurableWorld.start();
  const node = world.node([account]);
  expect((await ask(world, node, 'open', { owner: 'ann' })).outcome).toBe('ok');
  expect((await ask(world, node, 'deposit', { amount: 5n })).value).toBe(5n);
  expect((await ask(world, node, 'slowDeposit', { amount: 2n })).value).toBe(7n);
  expect(await world.events('account', 'alice')).toEqual([
    ['Opened', { owner: 'ann' }],
    ['Deposited', { amount: 5n }],
    ['Deposited', { amount: 2n }],
  ]);
  await world.clock.advance(700_000);
  expect(node.host.inspect().resident).toBe(0);
  expect((await ask(world, node, 'balance')).value).toBe(7n);
  const other = world.node([account]);
  expect((await ask(world, other, 'balance')).value).toBe(7n);
  const commits = await world.commits('account', 'alice');
  expect(commits.map(({ kind, version, epoch, owner }) => [kind, version, epoch, owner])).toEqual([
    ['commit', 1, 7, 'node-1/i1'],
    ['commit', 2, 7, 'node-1/i1'],
    ['commit', 3, 7, 'node-1/i1'],
    ['fence', 3, 8, 'node-2/i2'],
  ]);
});

test('a command without effect is answered at once and stores nothing', async () => {
  const world = await DurableWorld.start();
  const node = world.node([account]);
  await ask(world, node, 'open', { owner: 'ann' });
  const nothing = node.ask('account', 'alice', 'nothing');
  expect(nothing.value).toBe('nothing happened');
  expect(node.ask('account', 'alice', 'balance').value).toBe(0n);
  expect(node.ask('account', 'alice', 'withdraw', { amount: 1n }).outcome).toBe('actor.error');
  expect(await world.commits('account', 'alice')).toHaveLength(1);
});

test('a handler that raises and then throws stores nothing, and neither does an event that evolve does not take', async () => {
  const world = await DurableWorld.start();
  const node = world.node([account]);
  await ask(world, node, 'deposit', { amount: 5n });
  expect(node.ask('account', 'alice', 'raiseThenThrow').outcome).toBe('handler.failed');
  const cursed = node.ask('account', 'alice', 'withdraw', { amount: 666n });
  expect([cursed.outcome, cursed.error?.executed]).toEqual(['event.not_applicable', 'no']);
  expect(node.ask('account', 'alice', 'balance').value).toBe(5n);
  expect(await world.events('account', 'alice')).toHaveLength(1);
});

test('messages leave when their turn is stored, not before, and never for a turn that failed', async () => {
  const world = await DurableWorld.start();
  const node = world.node([account, log]);
  await ask(world, node, 'deposit', { amount: 5n });
  expect(node.ask('account', 'alice', 'tell', { fail: true }).outcome).toBe('actor.error');
  world.faults.nextAppends('stored_late_answer');
  const told = node.ask('account', 'alice', 'tell', { fail: false });
  await world.clock.settle();
  expect([told.outcome, node.ask('log', 'log', 'notes').value]).toEqual(['waiting', []]);
  world.faults.releaseLate();
  await settled(world, told);
  expect([told.outcome, node.ask('log', 'log', 'notes').value]).toEqual(['ok', ['told']]);
});

test('requests that come while a commit is under way wait for it, and see what it stored', async () => {
  const world = await DurableWorld.start();
  const node = world.node([account]);
  const all = [5n, 6n, 7n].map((n) => node.ask('account', 'alice', 'deposit', { amount: n }));
  const last = await ask(world, node, 'balance');
  expect(all.map(({ value }) => value)).toEqual([5n, 11n, 18n]);
  expect(last.value).toBe(18n);
});

test('more events than a commit may hold, and a record that is too large, are refused before anything is stored', async () => {
  const world = await DurableWorld.start();
  const node = world.node([account], { durable: { eventsPerCommitMax: 10, commitBytesMax: 1_024 } });
  await ask(world, node, 'many', { count: 10 });
  const tooMany = node.ask('account', 'alice', 'many', { count: 11 });
  expect([tooMany.outcome, tooMany.error?.executed]).toEqual(['commit.too_large', 'no']);
  const tooLarge = await ask(world, node, 'open', { owner: 'x'.repeat(2_000) });
  expect([tooLarge.outcome, tooLarge.error?.executed]).toEqual(['commit.too_large', 'no']);
  expect(node.ask('account', 'alice', 'balance').value).toBe(10n);
  expect(await world.commits('account', 'alice')).toHaveLength(1);
});

test('code that a command left running writes nothing into a commit that is on its way to the store', async () => {
  const refusals: string[] = [];
  const attempt = (write: () => void): void => {
    try {
      write();
    } catch (thrown) {
      refusals.push((thrown as PerkeyError).code);
    }
  };
  const Leaky = defineActor('leaky', { go: {}, count: { output: z.int(), readonly: true } });
  const leaky = Leaky.aggregate({
    initial: () => ({ count: 0 }),
    events: { Went: z.object({}) },
    evolve: { Went: ({ count }) => ({ count: count + 1 }) },
    commands: {
      go(ctx) {
        const { outbox } = ctx;
        ctx.raise('Went', {});
        outbox.publish('first', 1);
        void Promise.resolve().then(() => {
          attempt(() => ctx.raise('Went', {}));
          attempt(() => outbox.publish('second', 2));
          attempt(() => ctx.reminders.set('late', { at: 1 }, { method: 'go' }));
        });
      },
    },
    queries: { count: (ctx) => ctx.state.count },
  });
  const world = await DurableWorld.start();
  const node = world.node([leaky]);
  const go = (): Promise<Asked> => settled(world, node.ask('leaky', 'a', 'go'));
  world.faults.slow(20);
  await go();
  await go();
  expect(refusals).toEqual(Array.from({ length: 6 }, () => 'turn.abandoned'));
  expect(node.ask('leaky', 'a', 'count').value).toBe(2);
  const stored = (await world.commits('leaky', 'a')).map((commit) => commit.notes());
  expect(stored).toMatchObject([{ outbox: [{ subject: 'first' }] }, { outbox: [{ subject: 'first' }] }]);
  expect(stored.map(({ reminders }) => reminders)).toEqual([undefined, undefined]);
});

test('a state that is changed in place, by a handler or by evolve, stays as the store has it', async () => {
  const empty = { items: [] as readonly number[] };
  const List = defineActor('list', {
    add: { input: z.int() },
    push: { input: z.int() },
    spoil: {},
    get: { output: z.array(z.int()), readonly: true },
    sorted: { output: z.array(z.int()), readonly: true },
  });
  const list = List.aggregate({
    initial: () => empty,
    events: { Added: z.int(), Pushed: z.int() },
    evolve: {
      Added: ({ items }, item) => ({ items: [...items, item] }),
      Pushed: (state, item) => {
        (state.items as number[]).push(item);
        return state;
      },
    },
    commands: {
      add: (ctx, item) => ctx.raise('Added', item),
      push: (ctx, item) => ctx.raise('Pushed', item),
      spoil: (ctx) => void (ctx.state.items as number[]).push(100),
    },
    queries: { get: (ctx) => [...ctx.state.items], sorted: (ctx) => (ctx.state.items as number[]).sort((a, b) => a - b) },
  });
  const world = await DurableWorld.start();
  const node = world.node([list]);
  const on = (key: string, method: string, input?: unknown): Promise<Asked> => settled(world, node.ask('list', key, method, input));
  expect((await on('a', 'push', 1)).outcome).toBe('event.not_applicable');
  expect((await on('b', 'get')).value).toEqual([]);
  await on('a', 'add', 3);
  await on('a', 'add', 2);
  expect((await on('a', 'spoil')).outcome).toBe('handler.failed');
  expect((await on('a', 'sorted')).outcome).toBe('handler.failed');
  expect((await on('a', 'push', 1)).error).toMatchObject({ code: 'event.not_applicable', executed: 'no' });
  expect((await on('a', 'get')).value).toEqual([3, 2]);
  await world.clock.advance(700_000);
  expect(node.host.inspect().resident).toBe(0);
  expect((await on('a', 'sorted')).outcome).toBe('handler.failed');
  expect((await on('a', 'get')).value).toEqual([3, 2]);
});
