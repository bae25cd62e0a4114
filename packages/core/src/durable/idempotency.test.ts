import { expect, test } from 'vitest';
import type { CallSource } from '../contract/calls.ts';
import { account, ask, counter, log, settled } from '../testkit/accounts.ts';
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

test('a turn that a move gave up is executed by its repeat at the next owner, unless its commit was stored after all', async () => {
  for (const fault of ['late', 'stored_late_answer'] as const) {
    const world = await DurableWorld.start();
    const node = world.node([account]);
    await ask(world, node, 'deposit', five);
    world.faults.nextAppends(fault);
    world.faults.slow(500);
    const given = node.ask('account', 'alice', 'deposit', five, { idempotencyKey: 'k' });
    await world.clock.advance(fault === 'late' ? 10 : 600);
    const carried = await world.clock.run(node.host.closeShard(0, { drainMs: 10, successor: undefined }));
    expect([given.outcome, carried.length]).toEqual(['turn.abandoned', 1]);
    world.faults.heal();
    const next = world.node([account]);
    next.host.openShard(0, 20, carried);
    expect((await ask(world, next, 'deposit', five, { idempotencyKey: 'k' })).value).toBe(10n);
    world.faults.releaseLate();
    await world.clock.advance(1_000);
    world.faults.releaseLate();
    await world.clock.advance(100);
    expect(await world.events('account', 'alice')).toHaveLength(2);
    expect((await ask(world, next, 'deposit', five, { idempotencyKey: 'k' })).value).toBe(10n);
  }
});

test('the messages of an execution that is not the stored one never leave', async () => {
  const world = await DurableWorld.start();
  const first = world.node([account, log]);
  const second = world.node([account, log]);
  const notes = (node: typeof first): unknown => node.ask('log', 'log', 'notes').value;
  await ask(world, second, 'balance');
  const tell = (node: typeof first): Promise<unknown> => ask(world, node, 'tell', { fail: false }, { idempotencyKey: 'k' });
  expect(await tell(first)).toMatchObject({ outcome: 'ok' });
  expect(await tell(second)).toMatchObject({ outcome: 'ok' });
  expect([notes(first), notes(second)]).toEqual([['told'], []]);
  world.faults.nextAppends('stored_unknown');
  expect(await ask(world, second, 'tell', { fail: false }, { idempotencyKey: 'other' })).toMatchObject({ outcome: 'ok' });
  expect(notes(second)).toEqual(['told']);
  expect(await world.events('account', 'alice')).toHaveLength(2);
});
