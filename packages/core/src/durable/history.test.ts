import { expect, test } from 'vitest';
import { account, ask } from '../testkit/accounts.ts';
import { DurableWorld } from '../testkit/durable-fixture.ts';
import { historyRange } from './history.ts';

const world = async () => {
  const made = await DurableWorld.start();
  const node = made.node([account]);
  await ask(made, node, 'open', { owner: 'ann' });
  await ask(made, node, 'many', { count: 3 });
  await ask(made, node, 'withdraw', { amount: 1n });
  return { world: made, node };
};
const all = ['1 Opened 1', '2 Deposited 1', '3 Deposited 1', '4 Deposited 1', '5 Withdrawn 1'];

test('a query reads the history of its actor, page by page', async () => {
  const { world: made, node } = await world();
  const history = async (input: object): Promise<unknown> => (await ask(made, node, 'history', input)).value;
  expect(await history({})).toEqual(all);
  expect(await history({ limit: 2 })).toEqual(all.slice(0, 2));
  // The page ends within a commit.
  expect(await history({ after: 2, limit: 1 })).toEqual(all.slice(2, 3));
  expect(await history({ after: 3 })).toEqual(all.slice(3));
  expect(await history({ after: 5 })).toEqual([]);
  expect(await history({ after: 900 })).toEqual([]);
});

test('a node that lost its actor without knowing it gives no more than what fits its state', async () => {
  const { world: made, node } = await world();
  const other = made.node([account]);
  await ask(made, other, 'deposit', { amount: 5n });
  expect((await ask(made, node, 'history', {})).value).toEqual(all);
  expect((await ask(made, node, 'balance')).value).toBe(2n);
  expect((await ask(made, other, 'history', {})).value).toEqual([...all, '6 Deposited 1']);
});

test('what a command raised is not in the history that it sees', async () => {
  const { world: made, node } = await world();
  expect((await ask(made, node, 'depositAndLook', { amount: 5n })).value).toEqual(all);
  expect((await ask(made, node, 'history', { after: 5 })).value).toEqual(['6 Deposited 1']);
});

test('an actor without history has an empty one', async () => {
  const made = await DurableWorld.start();
  expect((await ask(made, made.node([account]), 'history', {})).value).toEqual([]);
});

test.each([{ limit: 0 }, { limit: 1_001 }, { limit: 1.5 }, { after: -1 }, { after: Number.NaN }])('%j is refused', (options) => {
  expect(() => historyRange(options)).toThrow(RangeError);
});

test('the bounds of a page', () => {
  expect(historyRange({})).toEqual({ after: 0, limit: 100 });
  expect(historyRange({ after: 7, limit: 1_000 })).toEqual({ after: 7, limit: 1_000 });
});
