import { given } from '@perkey/core/testing';
import { describe, expect, test } from 'vitest';
import { account } from './account.ts';

const opened = ['AccountOpened', { owner: 'Alice', initialBalance: 10_000n }] as const;
const empty = ['AccountOpened', { owner: 'Alice', initialBalance: 0n }] as const;
const closed = ['AccountClosed', {}] as const;
const deposited = (amount: bigint) => ['MoneyDeposited', { amount }] as const;
const withdrawn = (amount: bigint) => ['MoneyWithdrawn', { amount }] as const;

describe('open', () => {
  test('an account has its owner and its first balance', () => {
    given(account)
      .when('open', { owner: 'Alice', initialBalance: '100.00' })
      .expectEvents([opened])
      .expectReply({ account_id: 'key', balance: 10_000n, version: 1 });
  });

  test('the first balance may be nothing', () => {
    given(account).when('open', { owner: 'Alice', initialBalance: 0n }).expectEvents([empty]);
  });

  test.each(['open', 'closed'])('an account that is %s already exists', (status) => {
    given(account, status === 'open' ? [opened] : [empty, closed])
      .when('open', { owner: 'Bob', initialBalance: 1n })
      .expectError('account_already_exists');
  });

  test('a first balance below nothing is refused', () => {
    given(account)
      .when('open', { owner: 'Alice', initialBalance: '-0.01' })
      .expectError('negative_initial_balance', { initialBalance: -1n });
  });

  test('an account without an owner is no valid input', () => {
    given(account).when('open', { owner: '', initialBalance: 1n }).expectError('input.invalid');
  });
});

describe('deposit', () => {
  test('adds to the balance', () => {
    given(account, [opened])
      .when('deposit', { amount: '0.10' })
      .expectEvents([deposited(10n)])
      .expectReply({ account_id: 'key', balance: 10_010n, version: 2, amount: 10n });
  });

  test.each(['0', '-5.00'])('%s is refused: the amount must be positive', (amount) => {
    given(account, [opened]).when('deposit', { amount }).expectError('amount_not_positive');
  });

  test('into an account that is not open is refused', () => {
    given(account).when('deposit', { amount: '1' }).expectError('account_not_open', { status: 'unknown' });
    given(account, [empty, closed]).when('deposit', { amount: '1' }).expectError('account_not_open', { status: 'closed' });
  });

  test('0.10 and 0.20 are 0.30; a balance of twelve digits keeps its cents', () => {
    given(account, [empty, deposited(10n)])
      .when('deposit', { amount: '0.20' })
      .expectReply({ account_id: 'key', balance: 30n, version: 3, amount: 20n });
    given(account, [['AccountOpened', { owner: 'A', initialBalance: 99_999_999_999_999n }]])
      .when('deposit', { amount: '0.01' })
      .expectReply({ account_id: 'key', balance: 100_000_000_000_000n, version: 2, amount: 1n });
  });
});

describe('withdraw', () => {
  test('takes from the balance, down to nothing', () => {
    given(account, [opened])
      .when('withdraw', { amount: '100.00' })
      .expectEvents([withdrawn(10_000n)])
      .expectReply({ account_id: 'key', balance: 0n, version: 2, amount: 10_000n });
  });

  test('more than there is is refused, with both amounts; nothing changes', () => {
    const decision = given(account, [opened, withdrawn(3_000n)]).when('withdraw', { amount: '70.01' });
    decision.expectError('insufficient_funds', { balance: 7_000n, requested: 7_001n });
    expect(decision.events).toEqual([]);
    decision.expectState({ status: 'open', owner: 'Alice', balance: 7_000n });
  });

  test.each(['0', '-5.00'])('%s is refused: the amount must be positive', (amount) => {
    given(account, [opened]).when('withdraw', { amount }).expectError('amount_not_positive');
  });

  test('from an account that is not open is refused', () => {
    given(account).when('withdraw', { amount: '1' }).expectError('account_not_open', { status: 'unknown' });
    given(account, [empty, closed]).when('withdraw', { amount: '1' }).expectError('account_not_open', { status: 'closed' });
  });
});

describe('close', () => {
  test('an empty account', () => {
    given(account, [opened, withdrawn(10_000n)])
      .when('close')
      .expectEvents([closed])
      .expectReply({ account_id: 'key', balance: 0n, version: 3 });
  });

  test('with a balance is refused', () => {
    given(account, [opened]).when('close').expectError('balance_not_zero', { balance: 10_000n });
  });

  test('one that is not open is refused', () => {
    given(account).when('close').expectError('account_not_open', { status: 'unknown' });
    given(account, [empty, closed]).when('close').expectError('account_not_open', { status: 'closed' });
  });
});

describe('queries', () => {
  test('the balance, also of a closed account; there is none of an unknown one', () => {
    const about = { account_id: 'key', owner: 'Alice' } as const;
    given(account, [opened, withdrawn(1n)])
      .when('balance')
      .expectReply({ ...about, status: 'open', balance: 9_999n, version: 2 });
    given(account, [empty, closed])
      .when('balance')
      .expectReply({ ...about, status: 'closed', balance: 0n, version: 2 });
    given(account).when('balance').expectError('account_not_open', { status: 'unknown' });
  });

  test('the history, page by page', async () => {
    const history = [opened, deposited(5n), withdrawn(3n)];
    const page = await given(account, history, { at: 7 }).when('history', { after: 1, limit: 1 }).settled();
    page.expectReply({ events: [{ version: 2, event: 'MoneyDeposited', at: 7, data: { amount: 5n } }], version: 3 });
    const none = await given(account).when('history', {}).settled();
    none.expectError('account_not_open');
  });

  test.each([{ limit: 0 }, { limit: 501 }, { after: -1 }])('a page of %j is no valid input', (input) => {
    given(account, [opened]).when('history', input).expectError('input.invalid');
  });
});
