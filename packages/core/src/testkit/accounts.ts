import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { HistoryEvent, HistoryOptions } from '../actor/aggregate-context.ts';
import { type ActorDefinition, defineActor } from '../actor/definition.ts';
import type { InboundRequest } from '../contract/calls.ts';
import type { ActorFixture, Asked } from './actor-fixture.ts';
import type { DurableWorld } from './durable-fixture.ts';

/** Takes everything as it is. */
const anything = <T>(): StandardSchemaV1<T> => ({
  '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value: value as T }) },
});

const amount = anything<{ readonly amount: bigint }>();

const Account = defineActor(
  'account',
  {
    open: { input: anything<{ readonly owner: string }>() },
    deposit: { input: amount, output: anything<bigint>() },
    withdraw: { input: amount, output: anything<bigint>() },
    many: { input: anything<{ readonly count: number }>() },
    raiseThenThrow: {},
    tell: { input: anything<{ readonly fail: boolean }>() },
    slowDeposit: { input: amount, output: anything<bigint>() },
    stamp: { output: anything<number>() },
    nothing: { output: anything<string>() },
    balance: { output: anything<bigint>(), readonly: true },
    history: { input: anything<HistoryOptions>(), output: anything<readonly string[]>(), readonly: true },
    depositAndLook: { input: amount, output: anything<readonly string[]>() },
  },
  { errors: { not_open: anything<null>(), insufficient_funds: anything<{ readonly balance: bigint }>() } },
);

const Log = defineActor('log', { note: { input: anything<string>() }, notes: { output: anything<readonly string[]>(), readonly: true } });

/** Notes what accounts tell it; in memory only. */
export const log: ActorDefinition = Log.host({
  state: () => ({ notes: [] as string[] }),
  note: (ctx, text) => void ctx.state.notes.push(text),
  notes: (ctx) => ctx.state.notes,
});

/** The aggregate `account` for tests: what it does wrong it does when told to. */
export const account: ActorDefinition = Account.aggregate({
  initial: () => ({ owner: '', balance: 0n }),
  events: { Opened: anything<{ readonly owner: string }>(), Deposited: amount, Withdrawn: amount, Cursed: anything<object>() },
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
    stamp(ctx) {
      ctx.raise('Deposited', { amount: 1n });
      return ctx.epoch;
    },
    nothing: () => 'nothing happened',
    async depositAndLook(ctx, input) {
      ctx.raise('Deposited', input);
      return (await ctx.history()).map(lineOf);
    },
  },
  queries: {
    balance: (ctx) => ctx.state.balance,
    history: async (ctx, input) => (await ctx.history(input)).map(lineOf),
  },
});

const lineOf = ({ version, event, schema }: HistoryEvent): string => `${version} ${event} ${schema}`;

const Counter = defineActor('counter', {
  add: { input: anything<number>(), output: anything<number>() },
  addLater: { input: anything<number>(), output: anything<number>() },
  touch: { output: anything<string>() },
  spoil: {},
  rot: {},
  get: { output: anything<number>(), readonly: true },
});

/** An actor whose state is kept. */
export const counter: ActorDefinition = Counter.host({
  state: (): { value: number; rest?: unknown } => ({ value: 0 }),
  persist: 'state',
  add(ctx, n) {
    ctx.state.value += n;
    return ctx.state.value;
  },
  async addLater(ctx, n) {
    ctx.state.value += n;
    await Promise.resolve();
    return ctx.state.value;
  },
  touch: () => 'nothing changed',
  spoil(ctx) {
    ctx.state.value = -1;
    throw new Error('after it changed the state');
  },
  rot(ctx) {
    ctx.state.value = -1;
    ctx.state.rest = () => 'not plain';
  },
  get: (ctx) => ctx.state.value,
});

/** Moves time until there is an answer. */
export async function settled(world: DurableWorld, asked: Asked): Promise<Asked> {
  await world.clock.until(() => asked.outcome !== 'waiting', { what: 'an answer', stepMs: 1 });
  return asked;
}

/** Asks the account `alice` of shard 0, and waits for the answer. */
export function ask(
  world: DurableWorld,
  node: ActorFixture,
  method: string,
  input?: unknown,
  more: Partial<InboundRequest> = {},
): Promise<Asked> {
  return settled(world, node.ask('account', 'alice', method, input, more));
}
