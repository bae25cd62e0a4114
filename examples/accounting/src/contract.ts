import { defineActor } from '@perkey/core';
import { z } from 'zod';
import { Money } from './money.ts';

export { formatMoney, Money } from './money.ts';

/** What has become of an account: enough to confirm a command. */
const Confirmation = z.object({ account_id: z.string(), balance: z.bigint(), version: z.int() });

/** The amount is that of the move that is stored: a repeat under one idempotency key gets the first one's, whatever it asks for. */
const Movement = Confirmation.extend({ amount: z.bigint() });

const Balance = z.object({
  account_id: z.string(),
  owner: z.string(),
  status: z.enum(['open', 'closed']),
  balance: z.bigint(),
  version: z.int(),
});

const HistoryEntry = z.object({ version: z.int(), event: z.string(), at: z.number(), data: z.record(z.string(), z.unknown()) });

/** What callers and hosts share of an account. Amounts of answers and errors are minor units. */
export const Account = defineActor(
  'account',
  {
    open: { input: z.object({ owner: z.string().min(1).max(200), initialBalance: Money }), output: Confirmation },
    deposit: { input: z.object({ amount: Money }), output: Movement },
    withdraw: { input: z.object({ amount: Money }), output: Movement },
    close: { output: Confirmation },
    balance: { output: Balance, readonly: true },
    history: {
      input: z.object({ after: z.int().min(0).default(0), limit: z.int().min(1).max(500).default(100) }),
      output: z.object({ events: z.array(HistoryEntry), version: z.int() }),
      readonly: true,
    },
  },
  {
    errors: {
      account_already_exists: z.null(),
      account_not_open: z.object({ status: z.enum(['unknown', 'closed']) }),
      amount_not_positive: z.object({ amount: z.bigint() }),
      insufficient_funds: z.object({ balance: z.bigint(), requested: z.bigint() }),
      negative_initial_balance: z.object({ initialBalance: z.bigint() }),
      balance_not_zero: z.object({ balance: z.bigint() }),
    },
  },
);
