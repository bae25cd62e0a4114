import { isActorError } from '@perkey/core';
import { Account, formatMoney } from '@perkey/example-accounting/contract';
import { Problem, type ProblemOf } from '@perkey/example-support/http';

/** The rules of accounts for people: status, and a detail with the amounts. */
export const accountProblem: ProblemOf = (error) => {
  if (!isActorError(Account, error)) return undefined;
  const { code, data } = error.details;
  const rule = (detail: string, more: Readonly<Record<string, string>> = {}): Problem => new Problem(422, code, 'no', detail, { more });
  switch (code) {
    case 'account_already_exists':
      return new Problem(409, code, 'no', 'There is, or was, an account of this id.');
    case 'account_not_open':
      if (data.status === 'closed') return rule('The account is closed.');
      return new Problem(404, 'account_not_found', 'no', 'There is no account of this id.');
    case 'amount_not_positive':
      return rule('The amount must be more than nothing.', { amount: formatMoney(data.amount) });
    case 'insufficient_funds': {
      const [balance, requested] = [formatMoney(data.balance), formatMoney(data.requested)];
      return rule(`The balance is ${balance}, and ${requested} was to be withdrawn.`, { balance, requested });
    }
    case 'negative_initial_balance':
      return rule('The first balance must not be below nothing.', { initial_balance: formatMoney(data.initialBalance) });
    case 'balance_not_zero':
      return rule('Only an account without a balance can be closed.', { balance: formatMoney(data.balance) });
  }
};
