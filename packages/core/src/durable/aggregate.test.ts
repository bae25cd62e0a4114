import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineActor } from '../actor/definition.ts';
import type { ActorFixture, Asked } from '../testkit/actor-fixture.ts';
import { DurableWorld } from '../testkit/durable-fixture.ts';

const amount = z.object({ amount: z.bigint() });

const Account = defineActor(
  'account',
  {
    open: { input: z.object({ owner: z.string() }) },
    deposit: { input: amount, output: z.bigint() },
    withdraw: { input: amount, output: z.bigint() },
    many: { input: z.object({ count: z.int() }) },
    raiseThenThrow: {},
    tell: { input: z.object({ fail: z.boolean() }) },
    slowDeposit: { input: amount, output: z.bigint() },
    nothing: { output: z.string() },
    balance: { output: z.bigint(), readonly: true },
  },
  { errors: { not_open: z.null(), insufficient_funds: z.object({ balance: z.bigint() }) } },
);

const Log = defineActor('log', { note: { input: z.string() }, notes: { output: z.array(z.string()), readonly: true } });

const log = Log.host({
  state: () => ({ notes: [] as string[] }),
  note: (ctx, text) => void ctx.state.notes.push(text),
  notes: (ctx) => ctx.state.notes,
});

const account = Account.aggregate({
  initial: () => ({ owner: '', balance: 0n }),
  events: { Opened: z.object({ owner: z.string() }), Deposited: amount, Withdrawn: amount, Cursed: z.object({}) },
  evolve: {
    Opened: (state, { owner }) => ({ ...state, owner }),
    Deposited: (state, event) => ({ ...state, balance: state.balance + event.amount }),
    Withdrawn: (state, event) => {
      if (event.amount === 666n) throw new Error('evolve does not like this');
      return { ...state, balance: state.balance - event.amount };
    },
    Cursed: (state) => state,
  },
  commands: {
    open: (ctx, { owner }) => ctx.raise('Opened', { owner }),
    deposit(ctx, input) {
      ctx.raise('Deposited', input);
      return ctx.state.balance;
    },
    withdraw(ctx, input) {
      if (input.amount !== 666n && ctx.state.balance < input.amount) throw ctx.error('insufficient_funds', { balance: ctx.state.balance });
      ctx.raise('Withdrawn', input);
      return ctx.state.balance;
    },
    many(ctx, { count }) {
      for (let i = 0; i < count; i += 1) ctx.raise('Deposited', { amount: 1n });
    },
    raiseThenThrow(ctx) {
      ctx.raise('Deposited', { amount: 100n });
      throw new Error('after all');
    },
    tell(ctx, { fail }) {
      ctx.raise('Deposited', { amount: 1n });
      ctx.notify(Log, 'log').note('told');
      if (fail) throw ctx.error('not_open', null);
    },
    async slowDeposit(ctx, input) {
      await Promise.resolve();
      ctx.raise('Deposited', input);
      return ctx.state.balance;
    },
    nothing: () => 'nothing happened',
  },
  queries: { balance: (ctx) => ctx.state.balance },
});

async function settled(world: DurableWorld, asked: Asked): Promise<Asked> {
  await world.clock.until(() => asked.outcome !== 'waiting', { what: 'an answer', stepMs: 1 });
  return asked;
}

const ask = (world: DurableWorld, node: ActorFixture, method: string, input?: unknown, more = {}): Promise<Asked> =>
  settled(world, node.ask('account', 'alice', method, input, more));

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
