import { expect, test } from 'vitest';
import type { CallSource } from '../contract/calls.ts';
import { account, ask, counter, settled } from '../testkit/accounts.ts';
import { DurableWorld } from '../testkit/durable-fixture.ts';

const five = { amount: 5n };
const proven = (principal: string): CallSource => ({ origin: 'client', principal });

test('a repeat by a caller whose name is proven gets its reply from the store; a caller that only says to be that one does not', async () => {
  const world = await DurableWorld.start();
  const key = { idempotencyKey: 'k' };
  const first = world.node([account]);
  expect((await ask(world, first, 'deposit', five, { ...key, source: proven('ann') })).value).toBe(5n);
  const second = world.node([account]);
  expect((await ask(world, second, 'deposit', five, { ...key, source: proven('ann') })).value).toBe(5n);
  expect((await ask(world, second, 'deposit', five, { ...key, source: proven('bob') })).outcome).toBe('idempotency.mismatch');
  expect((await ask(world, second, 'deposit', five, key)).outcome).toBe('idempotency.mismatch');
  const claimed = await ask(world, second, 'deposit', five, { ...key, caller: 'ann\0client-1' });
  expect(claimed.outcome).toBe('idempotency.mismatch');
  expect(await world.events('account', 'alice')).toHaveLength(1);
});

test('the same, where the first execution is found only after a conflict', async () => {
  const world = await DurableWorld.start();
  const key = { idempotencyKey: 'k' };
  const first = world.node([account]);
  const second = world.node([account]);
  await ask(world, second, 'balance');
  await ask(world, first, 'stamp', undefined, { ...key, source: proven('ann') });
  const other = await ask(world, second, 'stamp', undefined, { ...key, source: proven('bob') });
  expect(other.outcome).toBe('idempotency.mismatch');
  expect((await ask(world, second, 'stamp', undefined, { ...key, source: proven('ann') })).value).toBe(7);
});

test('a reply that the store holds is given again, although so many others were remembered since that it is no longer in the window', async () => {
  const world = await DurableWorld.start();
  const node = world.node([account, counter], { settings: { idempotencyEntriesMax: 2, idempotencyCountMax: 2 } });
  const deposit = () => ask(world, node, 'deposit', five, { idempotencyKey: 'k' });
  expect((await deposit()).value).toBe(5n);
  for (const idempotencyKey of ['1', '2', '3']) await ask(world, node, 'nothing', undefined, { idempotencyKey });
  expect((await deposit()).value).toBe(5n);
  for (const key of ['bob', 'carl', 'dora'])
    await settled(world, node.ask('account', key, 'deposit', five, { idempotencyKey: key, deadline: Infinity }));
  expect((await deposit()).value).toBe(5n);
  expect(await world.events('account', 'alice')).toHaveLength(1);
  const add = () => settled(world, node.ask('counter', 'a', 'add', 2, { idempotencyKey: 'k' }));
  expect((await add()).value).toBe(2);
  for (const idempotencyKey of ['1', '2', '3']) await settled(world, node.ask('counter', 'a', 'touch', undefined, { idempotencyKey }));
  expect((await add()).value).toBe(2);
  expect((await settled(world, node.ask('counter', 'a', 'touch', undefined, { idempotencyKey: 'k' }))).outcome).toBe(
    'idempotency.mismatch',
  );
});
