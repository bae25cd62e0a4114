import { expect, test } from 'vitest';
import type { CallSource } from '../contract/calls.ts';
import { account, ask } from '../testkit/accounts.ts';
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
