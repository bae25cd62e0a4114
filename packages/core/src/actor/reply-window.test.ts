import { expect, test } from 'vitest';
import { z } from 'zod';
import type { InboundRequest } from '../contract/calls.ts';
import { ActorFixture } from '../testkit/actor-fixture.ts';
import type { FixtureOptions } from '../testkit/actor-fixture.ts';
import { defineActor } from './definition.ts';

const Bank = defineActor(
  'bank',
  {
    take: { input: z.object({ n: z.number().default(1) }), output: z.unknown() },
    other: { output: z.unknown() },
    fail: {},
    hang: {},
    whole: { output: z.unknown() },
  },
  { errors: { poor: z.number() } },
);

function host(options: FixtureOptions = {}, idempotency: { countMax?: number; ageMs?: number } = {}) {
  const gates: (() => void)[] = [];
  const bank = Bank.host({
    state: () => ({ left: 3, turns: 0 }),
    take(ctx, { n }) {
      ctx.state.turns += 1;
      if (n > ctx.state.left) throw ctx.error('poor', ctx.state.left);
      return (ctx.state.left -= n);
    },
    other: (ctx) => ctx.state.turns,
    fail(ctx) {
      ctx.state.turns += 1;
      throw new Error('x');
    },
    async hang(ctx) {
      ctx.state.turns += 1;
      await new Promise<void>((resolve) => gates.push(resolve));
    },
    whole: (ctx) => ctx.state,
    idempotency,
  });
  return { fixture: new ActorFixture([bank], options), gates, bank };
}

const key = (idempotencyKey: string, more: Partial<InboundRequest> = {}): Partial<InboundRequest> => ({ idempotencyKey, ...more });

test('I4: a repeat gets the first answer and runs nothing', () => {
  const { fixture } = host();
  expect(fixture.ask('bank', 'a', 'take', { n: 2 }, key('x')).value).toBe(1);
  expect(fixture.ask('bank', 'a', 'take', { n: 2 }, key('x')).value).toBe(1);
  expect(fixture.ask('bank', 'a', 'take', { n: 2 }, key('y')).error).toMatchObject({ code: 'actor.error', details: { data: 1 } });
  expect(fixture.ask('bank', 'a', 'take', { n: 2 }, key('y')).error).toMatchObject({ code: 'actor.error', details: { data: 1 } });
  expect(fixture.ask('bank', 'a', 'fail', undefined, key('z')).outcome).toBe('handler.failed');
  expect(fixture.ask('bank', 'a', 'fail', undefined, key('z')).outcome).toBe('handler.failed');
  expect(fixture.ask('bank', 'a', 'other').value).toBe(3);
  expect(fixture.metric('perkey_actor_turns_total', 'method=take,outcome=replayed,type=bank')).toBe(2);
  expect(fixture.ask('bank', 'b', 'take', {}, key('x')).value).toBe(2);
});

test('a key is bound to its method and its caller', () => {
  const { fixture } = host();
  fixture.ask('bank', 'a', 'take', {}, key('x'));
  expect(fixture.ask('bank', 'a', 'other', undefined, key('x')).error).toMatchObject({ code: 'idempotency.mismatch', executed: 'no' });
  expect(fixture.ask('bank', 'a', 'take', {}, key('x', { caller: 'client-2' })).outcome).toBe('idempotency.mismatch');
});

test('what was refused is not remembered', () => {
  const { fixture } = host();
  expect(fixture.ask('bank', 'a', 'take', { n: 'x' }, key('x')).outcome).toBe('input.invalid');
  expect(fixture.ask('bank', 'a', 'take', {}, key('x')).value).toBe(2);
  expect(fixture.ask('bank', 'a', 'take', {}, key('y', { deadline: 0 })).outcome).toBe('request.expired');
  expect(fixture.ask('bank', 'a', 'take', {}, key('y')).value).toBe(1);
});

test('a repeat that comes while the first runs waits for its outcome', async () => {
  const { fixture, gates } = host();
  const asked = [fixture.ask('bank', 'a', 'hang', undefined, key('x')), fixture.ask('bank', 'a', 'hang', undefined, key('x'))];
  gates[0]?.();
  await fixture.clock.settle();
  expect(asked.map((one) => one.outcome)).toEqual(['ok', 'ok']);
  expect(fixture.ask('bank', 'a', 'other').value).toBe(1);
});

test('a remembered reply does not change with the state', () => {
  const { fixture } = host();
  fixture.ask('bank', 'a', 'whole', undefined, key('x'));
  fixture.ask('bank', 'a', 'take');
  expect(fixture.ask('bank', 'a', 'whole', undefined, key('x')).value).toEqual({ left: 3, turns: 0 });
});

test('replies are forgotten by count and by age, the oldest first', async () => {
  const { fixture } = host({}, { countMax: 2, ageMs: 1_000 });
  for (const name of ['x', 'y', 'z']) fixture.ask('bank', 'a', 'other', undefined, key(name));
  expect(fixture.metric('perkey_actor_remembered_replies', 'type=bank')).toBe(2);
  fixture.ask('bank', 'a', 'take');
  expect(fixture.ask('bank', 'a', 'other', undefined, key('y')).value).toBe(0);
  expect(fixture.ask('bank', 'a', 'other', undefined, key('x')).value).toBe(1);
  await fixture.clock.advance(2_000);
  expect(fixture.metric('perkey_actor_remembered_replies', 'type=bank')).toBe(0);
  expect(fixture.clock.pending).toBe(0);
});

test('a node remembers so many replies of a type', () => {
  const { fixture } = host({ settings: { idempotencyEntriesMax: 3 } });
  for (const name of ['a', 'b', 'c', 'd']) fixture.ask('bank', name, 'other', undefined, key('x'));
  expect(fixture.metric('perkey_actor_remembered_replies', 'type=bank')).toBe(3);
});

test('nothing is remembered where countMax is 0', () => {
  const { fixture } = host({}, { countMax: 0 });
  for (let i = 0; i < 2; i += 1) fixture.ask('bank', 'a', 'take', {}, key('x'));
  expect(fixture.ask('bank', 'a', 'other').value).toBe(2);
});

test('replies move with the actor, with their age', async () => {
  const { fixture, gates, bank } = host({}, { ageMs: 1_000 });
  fixture.ask('bank', 'a', 'take', { n: 2 }, key('ok'));
  fixture.ask('bank', 'a', 'take', { n: 2 }, key('poor'));
  fixture.ask('bank', 'a', 'hang', undefined, key('cut'));
  await fixture.clock.advance(400);
  const carried = await fixture.clock.run(fixture.host.closeShard(0, { drainMs: 100, successor: 'b' }));
  const next = new ActorFixture([bank]);
  next.host.openShard(1, 8, structuredClone(carried));
  const again = (method: string, name: string, input?: unknown): unknown => next.askShard(1, 'bank', 'a', method, input, key(name));
  expect(again('take', 'ok', { n: 2 })).toMatchObject({ value: 1 });
  expect(again('take', 'poor', { n: 2 })).toMatchObject({
    error: { code: 'actor.error', details: { type: 'bank', code: 'poor', data: 1 } },
  });
  expect(again('hang', 'cut')).toMatchObject({ outcome: 'turn.abandoned', error: { executed: 'unknown' } });
  expect(next.askShard(1, 'bank', 'a', 'other').value).toBe(3);
  await next.clock.advance(600);
  expect(again('take', 'ok', { n: 1 })).toMatchObject({ value: 0 });
  expect(gates).toHaveLength(1);
});

test('a window that is no window is ignored', () => {
  const { bank } = host();
  const next = new ActorFixture([bank]);
  const state = { left: 3, turns: 0 };
  const windows = [3, 'x', [3], [['k', 'take', 'client-1', -1, 'ok', 5]], [['k', 'take', 'client-1', 'x']], [['k', 1, 2, 3]]];
  next.host.openShard(
    1,
    8,
    windows.map((window, i) => ({ type: 'bank', key: `${i}`, state, window })),
  );
  for (const i of windows.keys()) expect(next.askShard(1, 'bank', `${i}`, 'other', undefined, key('k')).outcome).toBe('ok');
});
