import { z } from 'zod';
import { Account } from './contract.ts';

interface AccountState {
  readonly status: 'unknown' | 'open' | 'closed';
  readonly owner: string;
  readonly balance: bigint;
}

/** An account, kept as its events. Amounts are minor units. A refused command stores nothing. */
export const account = Account.aggregate({
  initial: (): AccountState => ({ status: 'unknown', owner: '', balance: 0n }),

  events: {
    AccountOpened: z.object({ owner: z.string(), initialBalance: z.bigint() }),
    MoneyDeposited: z.object({ amount: z.bigint() }),
    MoneyWithdrawn: z.object({ amount: z.bigint() }),
    AccountClosed: z.object({}),
  },

  evolve: {
    AccountOpened: (_state, { owner, initialBalance }): AccountState => ({ status: 'open', owner, balance: initialBalance }),
    MoneyDeposited: (state, { amount }) => ({ ...state, balance: state.balance + amount }),
    MoneyWithdrawn: (state, { amount }) => ({ ...state, balance: state.balance - amount }),
    AccountClosed: (state): AccountState => ({ ...state, status: 'closed' }),
  },

  commands: {
    open(ctx, { owner, initialBalance }) {
      if (ctx.state.status !== 'unknown') throw ctx.error('account_already_exists', null);
      if (initialBalance < 0n) throw ctx.error('negative_initial_balance', { initialBalance });
      ctx.raise('AccountOpened', { owner, initialBalance });
      return confirmation(ctx);
    },

    deposit(ctx, { amount }) {
      refuseUnlessOpen(ctx);
      if (amount <= 0n) throw ctx.error('amount_not_positive', { amount });
      ctx.raise('MoneyDeposited', { amount });
      return { ...confirmation(ctx), amount };
    },

    withdraw(ctx, { amount }) {
      refuseUnlessOpen(ctx);
      if (amount <= 0n) throw ctx.error('amount_not_positive', { amount });
      const { balance } = ctx.state;
      if (amount > balance) throw ctx.error('insufficient_funds', { balance, requested: amount });
      ctx.raise('MoneyWithdrawn', { amount });
      return { ...confirmation(ctx), amount };
    },

    close(ctx) {
      refuseUnlessOpen(ctx);
      const { balance } = ctx.state;
      if (balance !== 0n) throw ctx.error('balance_not_zero', { balance });
      ctx.raise('AccountClosed', {});
      return confirmation(ctx);
    },
  },

  queries: {
    balance(ctx) {
      const { status, owner, balance } = ctx.state;
      if (status === 'unknown') throw ctx.error('account_not_open', { status });
      return { account_id: ctx.key, owner, status, balance, version: ctx.version };
    },

    async history(ctx, { after, limit }) {
      const { status } = ctx.state;
      if (status === 'unknown') throw ctx.error('account_not_open', { status });
      const events = await ctx.history({ after, limit });
      return { events: events.map(({ version, event, at, data }) => ({ version, event, at, data: data as {} })), version: ctx.version };
    },
  },
});

/** What every command and query has. */
interface AccountTurn {
  readonly key: string;
  readonly version: number;
  readonly state: AccountState;
  error(code: 'account_not_open', data: { readonly status: 'unknown' | 'closed' }): Error;
}

function refuseUnlessOpen(ctx: AccountTurn): void {
  const { status } = ctx.state;
  if (status !== 'open') throw ctx.error('account_not_open', { status });
}

function confirmation({ key, version, state }: AccountTurn): { account_id: string; balance: bigint; version: number } {
  return { account_id: key, balance: state.balance, version };
}
