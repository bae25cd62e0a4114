import { type ActorDefinition, defineActor } from '@perkey/core';
import { z } from 'zod';

const Amount = z.object({ amount: z.number().int().positive() });

const methods = {
  deposit: { input: Amount, output: z.object({ balance: z.number().int() }) },
  withdraw: { input: Amount, output: z.object({ balance: z.number().int() }) },
  balance: { output: z.number().int(), readonly: true },
  /** Out of the memory: the next request loads the account again. */
  leave: { readonly: true },
} as const;

const errors = { insufficient_funds: z.object({ balance: z.number() }) };

export const Account = defineActor('account', methods, { errors });
/** The same, without snapshots. */
export const PlainAccount = defineActor('plainAccount', methods, { errors });

/** The name of the event of a deposit, and what it holds. */
export const deposited = { name: 'MoneyDeposited', schema: 1, data: { amount: 1 } } as const;

function aggregate(contract: typeof Account, snapshotEvery: number): ActorDefinition {
  return contract.aggregate({
    initial: () => ({ balance: 0 }),
    events: { MoneyDeposited: Amount, MoneyWithdrawn: Amount },
    evolve: {
      MoneyDeposited: (state, { amount }) => ({ balance: state.balance + amount }),
      MoneyWithdrawn: (state, { amount }) => ({ balance: state.balance - amount }),
    },
    commands: {
      deposit(ctx, { amount }) {
        ctx.raise('MoneyDeposited', { amount });
        return { balance: ctx.state.balance };
      },
      withdraw(ctx, { amount }) {
        const { balance } = ctx.state;
        if (balance < amount) throw ctx.error('insufficient_funds', { balance });
        ctx.raise('MoneyWithdrawn', { amount });
        return { balance: ctx.state.balance };
      },
    },
    queries: { balance: (ctx) => ctx.state.balance, leave: (ctx) => ctx.passivate() },
    snapshotEvery,
  });
}

export const snapshotEvery = 100;
export const account: ActorDefinition = aggregate(Account, snapshotEvery);
export const plainAccount: ActorDefinition = aggregate(PlainAccount, 0);
