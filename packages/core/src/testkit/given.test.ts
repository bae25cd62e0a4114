import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineActor } from '../actor/definition.ts';
import { given } from './given.ts';

const Account = defineActor(
  'account',
  {
    open: { input: z.object({ owner: z.string() }) },
    deposit: { input: z.object({ amount: z.bigint() }), output: z.object({ balance: z.bigint() }) },
    withdraw: { input: z.object({ amount: z.bigint() }), output: z.object({ balance: z.bigint() }) },
    audit: { output: z.string() },
    balance: { output: z.bigint(), readonly: true },
  },
  { errors: { not_open: z.null(), insufficient_funds: z.object({ balance: z.bigint(), requested: z.bigint() }) } },
);

const Audit = defineActor('audit', { note: { input: z.object({ text: z.string() }) }, ask: { output: z.string() } });

const account = Account.aggregate({
  initial: () => ({ open: false, owner: '', balance: 0n }),
  events: {
    AccountOpened: z.object({ owner: z.string() }),
    MoneyDeposited: z.object({ amount: z.bigint(), currency: z.string().default('EUR') }),
    MoneyWithdrawn: z.object({ amount: z.bigint() }),
  },
  evolve: {
    AccountOpened: (state, { owner }) => ({ ...state, open: true, owner }),
    MoneyDeposited: (state, { amount }) => ({ ...state, balance: state.balance + amount }),
    MoneyWithdrawn: (state, { amount }) => {
      if (amount > 1_000_000n) throw new Error('too much for evolve');
      return { ...state, balance: state.balance - amount };
    },
  },
  commands: {
    open(ctx, { owner }) {
      ctx.raise('AccountOpened', { owner });
    },
    deposit(ctx, { amount }) {
      if (!ctx.state.open) throw ctx.error('not_open', null);
      ctx.raise('MoneyDeposited', { amount });
      ctx.notify(Audit, 'all').note({ text: `${amount}` });
      ctx.outbox.publish('money.in', { amount });
      return { balance: ctx.state.balance };
    },
    withdraw(ctx, { amount }) {
      ctx.raise('MoneyWithdrawn', { amount });
      const { balance } = ctx.state;
      if (balance < 0n) throw ctx.error('insufficient_funds', { balance: balance + amount, requested: amount });
      return { balance };
    },
    async audit(ctx) {
      const answer = await ctx.actor(Audit, 'all').ask();
      ctx.raise('MoneyDeposited', { amount: 1n });
      return answer;
    },
  },
  queries: { balance: (ctx) => ctx.state.balance },
});

const opened = ['AccountOpened', { owner: 'ann' }] as const;

test('a command is judged by its events, its reply and the state', () => {
  const decision = given(account, [opened, ['MoneyDeposited', { amount: 5n }]]).when('deposit', { amount: 2n });
  decision
    .expectEvents([['MoneyDeposited', { amount: 2n }]])
    .expectReply({ balance: 7n })
    .expectState({ open: true, owner: 'ann', balance: 7n });
  expect(decision.events).toEqual([['MoneyDeposited', { amount: 2n, currency: 'EUR' }]]);
  expect(decision.messages).toEqual([{ type: 'audit', key: 'all', method: 'note', input: { text: '2' } }]);
  expect(decision.outbox).toEqual([{ to: 'subject', subject: 'money.in', data: { amount: 2n }, headers: {} }]);
});

test('a refused command leaves no event, no message and the state as it was', () => {
  const decision = given(account, [opened]).when('withdraw', { amount: 3n });
  decision.expectError('insufficient_funds', { balance: 0n, requested: 3n }).expectState({ open: true, owner: 'ann', balance: 0n });
  expect(decision.events).toEqual([]);
  decision.expectEvents([]);
  expect(() => decision.expectEvents([['MoneyWithdrawn', { amount: 3n }]])).toThrow('deep-equal');
  given(account).when('deposit', { amount: 1n }).expectError('not_open');
  given(account)
    .when('open', { owner: 3 as never })
    .expectError('input.invalid');
  given(account, [opened]).when('withdraw', { amount: 2_000_000n }).expectError('event.not_applicable');
});

test('an expectation that does not hold fails', () => {
  const decision = given(account, [opened]).when('deposit', { amount: 2n });
  expect(() => decision.expectEvents([])).toThrow();
  expect(() => decision.expectEvents([['MoneyDeposited', { amount: 3n }]])).toThrow();
  expect(() => decision.expectReply({ balance: 3n })).toThrow();
  expect(() => decision.expectError('not_open')).toThrow('was not refused');
  const refused = given(account).when('deposit', { amount: 1n });
  expect(() => refused.expectEvents([])).toThrow();
  expect(() => refused.expectError('insufficient_funds')).toThrow();
});

test('queries answer from the history', () => {
  given(account, [opened, ['MoneyDeposited', { amount: 5n }]])
    .when('balance')
    .expectReply(5n)
    .expectEvents([]);
});

test('an asynchronous command is awaited', async () => {
  const aggregate = given(account, [opened], { call: (type, method) => Promise.resolve(`${type}.${method}`) });
  expect(() => aggregate.when('audit').expectEvents([])).toThrow('await settled()');
  const decision = await aggregate.when('audit').settled();
  decision.expectReply('audit.ask').expectEvents([['MoneyDeposited', { amount: 1n }]]);
  (await given(account).when('audit').settled()).error satisfies unknown;
});

test('a handler or an evolve that changes the state in place throws', () => {
  const Box = defineActor('box', { put: {}, spoil: {} });
  const box = Box.aggregate({
    initial: () => ({ items: [] as string[] }),
    events: { Put: z.object({}) },
    evolve: {
      Put: (state) => {
        state.items.push('x');
        return state;
      },
    },
    commands: { put: (ctx) => ctx.raise('Put', {}), spoil: (ctx) => void ctx.state.items.push('y') },
  });
  given(box).when('put').expectError('event.not_applicable');
  expect(given(box).when('spoil').error).toBeInstanceOf(TypeError);
});

test('the given events are the history that a query sees', async () => {
  const Diary = defineActor('diary', { note: { input: z.string() }, pages: { output: z.array(z.string()), readonly: true } });
  const diary = Diary.aggregate({
    initial: () => ({ notes: 0 }),
    events: { Noted: { version: 2, schema: z.string().trim() } },
    evolve: { Noted: ({ notes }) => ({ notes: notes + 1 }) },
    upcasters: { Noted: { 1: (data) => data } },
    commands: { note: (ctx, text) => ctx.raise('Noted', text) },
    queries: {
      pages: async (ctx) =>
        (await ctx.history({ after: 1, limit: 2 })).map(
          ({ version, event, schema, data, key }) => `${key} ${version} ${event} ${schema} ${String(data)}`,
        ),
    },
  });
  const history = (['a', ' b', 'c', 'd'] as const).map((text) => ['Noted', text] as const);
  const decision = await given(diary, history, { key: 'mine' }).when('pages').settled();
  decision.expectReply(['mine 2 Noted 2 b', 'mine 3 Noted 2 c']);
});

test('an actor that is no aggregate is refused with what to do instead', () => {
  const Plain = defineActor('plain', { run: {} });
  const plain = Plain.host({ state: () => 0, run() {} });
  expect(() => given(plain as never)).toThrow('given() takes an aggregate');
});
