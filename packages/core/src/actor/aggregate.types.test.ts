import { expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import * as v from 'valibot';
import { given } from '../testkit/given.ts';
import { defineActor } from './definition.ts';

const Account = defineActor(
  'account',
  {
    deposit: { input: z.object({ amount: z.bigint() }), output: z.bigint() },
    close: {},
    balance: { output: z.bigint(), readonly: true },
  },
  { errors: { not_open: z.object({ since: z.number() }) } },
);

interface State {
  readonly open: boolean;
  readonly balance: bigint;
}

const events = {
  Deposited: z.object({ amount: z.bigint(), note: z.string().default('') }),
  Closed: { version: 3, schema: v.object({ why: v.string() }) },
};

const account = Account.aggregate({
  initial: (): State => ({ open: true, balance: 0n }),
  events,
  evolve: {
    Deposited(state, data, event) {
      expectTypeOf(state).toEqualTypeOf<Readonly<State>>();
      expectTypeOf(data).toEqualTypeOf<{ amount: bigint; note: string }>();
      expectTypeOf(event.version).toEqualTypeOf<number>();
      return { ...state, balance: state.balance + data.amount };
    },
    Closed: (state, data) => {
      expectTypeOf(data).toEqualTypeOf<{ why: string }>();
      return { ...state, open: false };
    },
  },
  upcasters: { Closed: { 1: (data: { reason: string }) => ({ because: data.reason }), 2: (data) => data } },
  commands: {
    deposit(ctx, { amount }) {
      expectTypeOf(amount).toEqualTypeOf<bigint>();
      expectTypeOf(ctx.state).toEqualTypeOf<Readonly<State>>();
      expectTypeOf(ctx.version).toEqualTypeOf<number>();
      ctx.raise('Deposited', { amount });
      // @ts-expect-error wrong data
      ctx.raise('Deposited', { amount: 1 });
      // @ts-expect-error no such event
      ctx.raise('Withdrawn', { amount });
      // @ts-expect-error only evolve makes a state
      ctx.state = { open: true, balance: 1n };
      if (!ctx.state.open) throw ctx.error('not_open', { since: 3 });
      // @ts-expect-error no such error
      void ctx.error('nope', {});
      ctx.outbox.actor(Account, 'other').close();
      ctx.timers.set('late', { afterMs: 5 });
      // @ts-expect-error no such timer
      ctx.timers.set('early', { afterMs: 5 });
      ctx.self.close();
      ctx.reminders.set('later', { at: ctx.now() + 1_000 }, { method: 'deposit', input: { amount: 1n } });
      ctx.reminders.set('later', { everyMs: 1_000 }, { method: 'close' });
      // @ts-expect-error no such method
      ctx.reminders.set('later', { everyMs: 1_000 }, { method: 'open' });
      // @ts-expect-error wrong input
      ctx.reminders.set('later', { everyMs: 1_000 }, { method: 'deposit', input: { amount: 1 } });
      return ctx.state.balance;
    },
    async close(ctx) {
      ctx.raise('Closed', { why: 'asked' });
      expectTypeOf(await ctx.actor(Account, 'other').balance()).toEqualTypeOf<bigint>();
    },
  },
  queries: {
    balance(ctx) {
      // @ts-expect-error a query raises nothing
      void ctx.raise;
      // @ts-expect-error and writes nothing
      void ctx.outbox;
      return ctx.state.balance;
    },
  },
  timers: {
    late(ctx) {
      ctx.raise('Closed', { why: 'late' });
    },
  },
  snapshotEvery: 10,
});

test('an aggregate infers its state and its events', () => {
  const decision = given(account, [['Deposited', { amount: 1n }]]).when('deposit', { amount: 2n });
  expectTypeOf(decision.state).toEqualTypeOf<State>();
  expectTypeOf(decision.expectReply).parameter(0).toEqualTypeOf<bigint>();
  const Plain = defineActor('plain', { add: { input: z.number() } });
  const plain = Plain.aggregate({
    initial: () => ({ sum: 0 }),
    events: { Added: z.number() },
    evolve: { Added: (state, n) => ({ sum: state.sum + n }) },
    commands: {
      add(ctx, n) {
        expectTypeOf(ctx.state.sum).toEqualTypeOf<number>();
        ctx.raise('Added', n);
      },
    },
  });
  expectTypeOf(given(plain).state).toEqualTypeOf<{ sum: number }>();
  // @ts-expect-error no such event
  void (() => given(plain, [['Removed', 1]]));
  // @ts-expect-error wrong data
  void (() => given(plain, [['Added', 'x']]));
  // @ts-expect-error input is needed
  void (() => given(plain).when('add'));
  // @ts-expect-error no such method
  void (() => given(plain).when('sub', 1));
});

test('wrong aggregates do not compile', () => {
  const One = defineActor('one', { set: { input: z.number() }, get: { output: z.number(), readonly: true } });
  const rest = { initial: () => 0, events: { Set: z.number() } };
  const evolve = { Set: (_state: number, n: number) => n };
  const commands = { set: () => {} };
  const queries = { get: () => 1 };
  void (() => One.aggregate({ ...rest, evolve, commands, queries }));
  // @ts-expect-error the readonly method is missing
  void (() => One.aggregate({ ...rest, evolve, commands }));
  // @ts-expect-error a readonly method is no command
  void (() => One.aggregate({ ...rest, evolve, commands: { ...commands, get: () => 1 }, queries: {} }));
  // @ts-expect-error evolve says nothing of one event
  void (() => One.aggregate({ ...rest, evolve: {}, commands, queries }));
  // @ts-expect-error wrong state
  void (() => One.aggregate({ ...rest, evolve: { Set: () => 'x' }, commands, queries }));
  // @ts-expect-error wrong reply
  void (() => One.aggregate({ ...rest, evolve, commands, queries: { get: () => 'x' } }));
  // @ts-expect-error only the state may be kept
  void (() => One.host({ state: () => 1, set: () => {}, get: () => 1, persist: 'events' }));
});
