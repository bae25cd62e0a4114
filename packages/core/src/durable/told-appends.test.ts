import { expect, test } from 'vitest';
import { LaterOutcome } from '../actor/durability.ts';
import type { AppendListener, AppendOutcome, CommitLog, LogAppend } from '../contract/commit-log.ts';
import type { OpenStore } from '../contract/store.ts';
import { account, ask } from '../testkit/accounts.ts';
import { DurableWorld } from '../testkit/durable-fixture.ts';

type Send = (append: LogAppend, listener: AppendListener, inner: CommitLog) => void;

/** The log of events takes appends by `send` alone. */
function sending(send: Send): (store: OpenStore) => OpenStore {
  return (store) => {
    const inner = store.events;
    const events: CommitLog = {
      bodyBytesMax: inner.bodyBytesMax,
      append: () => Promise.reject(new Error('nobody asks for a promise')),
      send: (append, listener) => send(append, listener, inner),
      read: (read) => inner.read(read),
      last: () => inner.last(),
      trim: (stream, before) => inner.trim(stream, before),
      barrier: () => inner.barrier(),
    };
    return { ...store, events };
  };
}

const full: AppendOutcome = { kind: 'refused', reason: 'full', text: 'no room' };
const doubtful: AppendOutcome = { kind: 'unknown', text: 'no answer' };
const passOn: Send = (append, listener, inner) => void inner.append(append).then((outcome) => listener.onOutcome(outcome));

test('what became of a commit may be told before the log has returned', async () => {
  let isFull = true;
  const send: Send = (append, listener, inner) => (isFull ? listener.onOutcome(full) : passOn(append, listener, inner));
  const world = await DurableWorld.start();
  const node = world.node([account], { through: sending(send) });
  expect((await ask(world, node, 'deposit', { amount: 5n })).error).toMatchObject({ code: 'store.full', executed: 'no' });
  isFull = false;
  expect((await ask(world, node, 'deposit', { amount: 7n })).value).toBe(7n);
  expect((await ask(world, node, 'slowDeposit', { amount: 1n })).value).toBe(8n);
  expect(await world.events('account', 'alice')).toHaveLength(2);
});

test('a log that tells twice, or throws after it told, is believed the first time', async () => {
  const send: Send = (append, listener, inner) => {
    void inner.append(append).then((outcome) => {
      listener.onOutcome(outcome);
      listener.onOutcome(doubtful);
    });
  };
  const world = await DurableWorld.start();
  const node = world.node([account], { through: sending(send) });
  expect((await ask(world, node, 'deposit', { amount: 5n })).value).toBe(5n);
  expect((await ask(world, node, 'deposit', { amount: 5n })).value).toBe(10n);
  const thrower = world.node([account], {
    through: sending((_append, listener) => {
      listener.onOutcome(full);
      throw new Error('after all');
    }),
  });
  expect((await ask(world, thrower, 'deposit', { amount: 5n })).error?.code).not.toBe('commit.unknown');
  expect((await world.events('account', 'alice')).length).toBe(2);
});

test('a log that throws has said nothing: what became of the commit is found out', async () => {
  let throws = 1;
  const send: Send = (append, listener, inner) => {
    if (throws-- > 0) throw new Error('broken');
    passOn(append, listener, inner);
  };
  const world = await DurableWorld.start();
  const node = world.node([account], { through: sending(send) });
  expect((await ask(world, node, 'deposit', { amount: 5n })).value).toBe(5n);
  expect((await world.commits('account', 'alice')).map(({ kind }) => kind)).toEqual(['fence', 'commit']);
});

test('an outcome is told in the step in which it is known, and in a microtask to who comes later; only the first counts', async () => {
  const told: unknown[] = [];
  const listen = (later: LaterOutcome): void =>
    later.listen({ onValue: (value) => told.push(value), onThrown: (thrown) => told.push(['thrown', thrown]) });
  const early = new LaterOutcome();
  listen(early);
  early.resolve(1);
  early.reject(2);
  expect(told).toEqual([1]);
  const late = new LaterOutcome();
  late.reject(3);
  late.resolve(4);
  listen(late);
  expect(told).toEqual([1]);
  await Promise.resolve();
  expect(told).toEqual([1, ['thrown', 3]]);
});
