import * as v from 'valibot';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { PerkeyError } from '../base/errors.ts';
import { ActorFixture } from '../testkit/actor-fixture.ts';
import { defineActor } from './definition.ts';

const Counter = defineActor(
  'counter',
  {
    add: { input: z.object({ amount: z.number().int().default(1) }), output: z.number() },
    get: { output: z.number(), readonly: true },
    nothing: {},
    fail: {},
    reject: {},
    refuse: {},
    wait: { output: z.number() },
    strict: { input: z.object({ a: z.object({ b: z.array(z.number()) }) }) },
    slow: {
      input: v.pipeAsync(
        v.string(),
        v.checkAsync(async (text) => text !== 'bad', 'is bad'),
      ),
      output: z.string(),
    },
  },
  { errors: { too_much: z.object({ limit: z.number() }) } },
);

interface Gate {
  open: (value: number) => void;
  fail: (error: Error) => void;
}

/** A counter whose `wait` ends when the test says so. */
function hosted(gates: Gate[] = []) {
  return Counter.host({
    state: () => ({ value: 0 }),
    add(ctx, { amount }) {
      if (amount > 100) throw ctx.error('too_much', { limit: 100 });
      ctx.state.value += amount;
      return ctx.state.value;
    },
    get: (ctx) => ctx.state.value,
    nothing: (ctx) => void (ctx.state.value += 1),
    fail(ctx) {
      ctx.state.value += 1;
      throw new RangeError('secret');
    },
    reject: () => Promise.reject<undefined>('text'),
    refuse() {
      throw new PerkeyError('mailbox.full', 'of somebody else');
    },
    wait(ctx) {
      ctx.state.value += 1;
      return new Promise<number>((resolve, reject) => gates.push({ open: resolve, fail: reject }));
    },
    strict: () => {},
    slow: async (_ctx, text) => text.toUpperCase(),
  });
}

test('a synchronous turn answers before admit returns', () => {
  const fixture = new ActorFixture([hosted()]);
  expect(fixture.ask('counter', 'a', 'add', { amount: 5 })).toMatchObject({ outcome: 'ok', value: 5 });
  expect(fixture.ask('counter', 'a', 'add', {})).toMatchObject({ outcome: 'ok', value: 6 });
  expect(fixture.ask('counter', 'b', 'get')).toMatchObject({ outcome: 'ok', value: 0 });
  expect(fixture.metric('perkey_actor_turns_total', 'method=add,outcome=ok,type=counter')).toBe(2);
  expect(fixture.metric('perkey_actor_resident', 'type=counter')).toBe(2);
});

test('a call without input is tried as an empty object, and a method without output answers nothing', () => {
  const fixture = new ActorFixture([hosted()]);
  expect(fixture.ask('counter', 'a', 'add')).toMatchObject({ outcome: 'ok', value: 1 });
  expect(fixture.ask('counter', 'a', 'nothing')).toMatchObject({ outcome: 'ok', value: undefined });
});

test('invalid input names its paths and does not run', () => {
  const fixture = new ActorFixture([hosted()]);
  const asked = fixture.ask('counter', 'a', 'strict', { a: { b: [1, 'x'] } });
  expect(asked.error).toMatchObject({ code: 'input.invalid', executed: 'no', details: { issues: [{ path: 'a.b.1' }] } });
  expect(asked.error?.message).toContain('counter.strict');
  expect(fixture.ask('counter', 'a', 'add', { amount: 1.5 }).error).toMatchObject({ details: { issues: [{ path: 'amount' }] } });
  expect(fixture.ask('counter', 'a', 'add', 'x').error).toMatchObject({ details: { issues: [{ path: '' }] } });
  const many = fixture.ask('counter', 'a', 'strict', { a: { b: Array.from({ length: 100 }, () => 'x') } });
  expect(many.error?.details).toMatchObject({ issues: { length: 20 }, issuesLeftOut: 80 });
});

test('an asynchronous schema is awaited inside the turn', async () => {
  const fixture = new ActorFixture([hosted()]);
  const asked = fixture.ask('counter', 'a', 'slow', 'abc');
  const after = fixture.ask('counter', 'a', 'get');
  expect([asked.outcome, after.outcome]).toEqual(['waiting', 'waiting']);
  await fixture.clock.settle();
  expect(asked.value).toBe('ABC');
  expect(after.outcome).toBe('ok');
  const bad = fixture.ask('counter', 'a', 'slow', 'bad');
  await fixture.clock.settle();
  expect(bad.error).toMatchObject({ code: 'input.invalid', details: { issues: [{ path: '', message: 'is bad' }] } });
});

test('a handler that throws answers its caller, keeps its secrets, and the next turn runs', async () => {
  const fixture = new ActorFixture([hosted()]);
  const asked = fixture.ask('counter', 'a', 'fail');
  expect(asked.error).toMatchObject({
    code: 'handler.failed',
    executed: 'yes',
    details: { type: 'counter', method: 'fail', error: 'RangeError' },
  });
  expect(asked.error?.message).not.toContain('secret');
  expect(fixture.lines).toMatchObject([
    { level: 'error', fields: { type: 'counter', key: 'a', where: 'fail', err: { message: 'secret' } } },
  ]);
  const rejected = fixture.ask('counter', 'a', 'reject');
  await fixture.clock.settle();
  expect(rejected.error).toMatchObject({ code: 'handler.failed', details: { error: 'string' } });
  expect(fixture.ask('counter', 'a', 'refuse').error).toMatchObject({ code: 'handler.failed', details: { cause: 'mailbox.full' } });
  expect(fixture.ask('counter', 'a', 'get').value).toBe(1);
  expect(fixture.metric('perkey_actor_failures_total', 'type=counter')).toBe(3);
  expect(fixture.metric('perkey_actor_turns_total', 'method=fail,outcome=handler.failed,type=counter')).toBe(1);
});

test('a domain error keeps its code and data', () => {
  const fixture = new ActorFixture([hosted()]);
  const asked = fixture.ask('counter', 'a', 'add', { amount: 101 });
  expect(asked.error).toMatchObject({
    code: 'actor.error',
    executed: 'yes',
    details: { type: 'counter', code: 'too_much', data: { limit: 100 } },
  });
  expect(fixture.lines).toEqual([]);
});

test('the domain error of another actor is a failure of the one that let it through', async () => {
  const Caller = defineActor('caller', { call: {} });
  const caller = Caller.host({ state: () => 0, call: async (ctx) => void (await ctx.actor(Counter, 'a').add({ amount: 101 })) });
  const fixture = new ActorFixture([hosted(), caller]);
  const asked = fixture.ask('caller', 'x', 'call');
  await fixture.clock.settle();
  expect(asked.error).toMatchObject({ code: 'handler.failed', details: { type: 'caller', cause: 'actor.error' } });
});

test('turns of one actor do not overlap and run in order; others go on meanwhile', async () => {
  const gates: Gate[] = [];
  const fixture = new ActorFixture([hosted(gates)]);
  const first = fixture.ask('counter', 'a', 'wait');
  const second = fixture.ask('counter', 'a', 'wait');
  const third = fixture.ask('counter', 'a', 'add', {});
  expect(fixture.ask('counter', 'b', 'add', {}).outcome).toBe('ok');
  await fixture.clock.settle();
  expect(gates).toHaveLength(1);
  expect([first.outcome, second.outcome, third.outcome]).toEqual(['waiting', 'waiting', 'waiting']);
  gates[0]?.open(10);
  await fixture.clock.settle();
  expect([first.value, second.outcome, third.outcome, gates.length]).toEqual([10, 'waiting', 'waiting', 2]);
  gates[1]?.fail(new Error('no'));
  await fixture.clock.settle();
  expect([second.outcome, third.value]).toEqual(['handler.failed', 3]);
});

test('an unknown method is refused, and nothing becomes resident for it', () => {
  const fixture = new ActorFixture([hosted()]);
  for (const method of ['nope', 'state', 'toString', '__proto__', 'timer.tick']) {
    expect(fixture.ask('counter', 'a', method).error).toMatchObject({ code: 'method.unknown', executed: 'no' });
  }
  expect(fixture.host.inspect().resident).toBe(0);
  fixture.ask('counter', 'a', 'get');
  expect(fixture.ask('counter', 'a', 'nope').outcome).toBe('method.unknown');
});

test('a default handler takes what the contract does not name', () => {
  const Open = defineActor('open', { known: { output: z.string() } });
  const open = Open.host({
    state: () => 0,
    known: () => 'known',
    defaultHandler: (ctx, { method, input }) => ({ key: ctx.key, method, input }),
  });
  const fixture = new ActorFixture([open]);
  expect(fixture.ask('open', 'a', 'known').value).toBe('known');
  expect(fixture.ask('open', 'a', 'other', [1]).value).toEqual({ key: 'a', method: 'other', input: [1] });
  expect(fixture.metric('perkey_actor_turns_total', 'method=other,outcome=ok,type=open')).toBe(1);
});

test('unknown types, closed shards and bad keys are refused', () => {
  const fixture = new ActorFixture([hosted()], { settings: { keyBytesMax: 8 } });
  expect(fixture.ask('nope', 'a', 'get').outcome).toBe('actor.not_hosted');
  expect(fixture.askShard(3, 'counter', 'a', 'get').error).toMatchObject({ code: 'shard.moved', details: { shard: 3 } });
  for (const key of ['', 'x'.repeat(9), '\udc00']) expect(fixture.ask('counter', key, 'get').outcome).toBe('key.invalid');
  expect(fixture.host.inspect().resident).toBe(0);
});

test('a request whose deadline has passed never starts', () => {
  const fixture = new ActorFixture([hosted()]);
  expect(fixture.ask('counter', 'a', 'add', {}, { deadline: fixture.clock.now() }).error).toMatchObject({
    code: 'request.expired',
    executed: 'no',
  });
  expect(fixture.ask('counter', 'a', 'get').value).toBe(0);
});

test('a request that expires in the mailbox is refused soon, without waiting for the turn before it', async () => {
  const gates: Gate[] = [];
  const fixture = new ActorFixture([hosted(gates)]);
  fixture.ask('counter', 'a', 'wait');
  const late = fixture.ask('counter', 'a', 'add', {}, { deadline: fixture.clock.now() + 100 });
  const patient = fixture.ask('counter', 'a', 'get');
  await fixture.clock.advance(90);
  expect(late.outcome).toBe('waiting');
  await fixture.clock.advance(50);
  expect([late.outcome, patient.outcome]).toEqual(['request.expired', 'waiting']);
  gates[0]?.open(1);
  await fixture.clock.settle();
  expect(patient.value).toBe(1);
});

test('a mailbox and a node hold so much and no more', async () => {
  const gates: Gate[] = [];
  const fixture = new ActorFixture([hosted(gates)], { settings: { mailboxMax: 2, nodeQueueMax: 3 } });
  fixture.ask('counter', 'c', 'get');
  fixture.ask('counter', 'a', 'wait');
  const queued = [fixture.ask('counter', 'a', 'get'), fixture.ask('counter', 'a', 'get')];
  const full = fixture.ask('counter', 'a', 'get');
  expect(full.error).toMatchObject({ code: 'mailbox.full', executed: 'no' });
  expect(full.error?.retryAfterMs).toBeGreaterThan(0);
  fixture.ask('counter', 'b', 'wait');
  fixture.ask('counter', 'b', 'get');
  const overloaded = fixture.ask('counter', 'b', 'get');
  expect(overloaded.error).toMatchObject({ code: 'node.overloaded', executed: 'no' });
  expect(overloaded.error?.retryAfterMs).toBeGreaterThan(0);
  expect(fixture.ask('counter', 'c', 'get').outcome).toBe('ok');
  expect(fixture.ask('counter', 'new', 'get').outcome).toBe('node.overloaded');
  expect(fixture.host.inspect()).toMatchObject({
    resident: 3,
    waiting: 3,
    running: 2,
    deepest: [
      { key: 'a', waiting: 2, status: 'running' },
      { key: 'b', waiting: 1 },
    ],
  });
  expect(fixture.metric('perkey_actor_mailbox_depth')).toBe(3);
  for (const gate of gates) gate.open(1);
  await fixture.clock.settle();
  expect(queued.map((asked) => asked.outcome)).toEqual(['ok', 'ok']);
  expect(fixture.host.inspect()).toMatchObject({ waiting: 0, running: 0, deepest: [] });
});

test('a mailbox may have its own size', () => {
  const Small = defineActor('small', { wait: {} });
  const fixture = new ActorFixture([Small.host({ state: () => 0, wait: () => new Promise<void>(() => {}), mailboxMax: 1 })]);
  const outcomes = [1, 2, 3].map(() => fixture.ask('small', 'a', 'wait').outcome);
  expect(outcomes).toEqual(['waiting', 'waiting', 'mailbox.full']);
});

test('what arrives while a turn is on the stack is not run on top of it', () => {
  const order: string[] = [];
  const Outer = defineActor('outer', { go: {}, inner: {} });
  const outer = Outer.host({
    state: () => 0,
    go(ctx) {
      order.push(`${ctx.key} begins`);
      ctx.notify(Outer, 'b').inner();
      ctx.self.inner();
      order.push(`${ctx.key} ends`);
    },
    inner: (ctx) => void order.push(`${ctx.key} inner`),
  });
  const fixture = new ActorFixture([outer]);
  fixture.ask('outer', 'a', 'go');
  expect(order).toEqual(['a begins', 'a ends', 'a inner', 'b inner']);
  order.length = 0;
  fixture.ask('outer', 'a', 'go');
  expect(order).toEqual(['a begins', 'a ends', 'b inner', 'a inner']);
});

test('a reply that admits the next request does not nest', () => {
  const fixture = new ActorFixture([hosted()]);
  let depth = 0;
  let deepest = 0;
  let done = 0;
  const next = (): void => {
    depth += 1;
    deepest = Math.max(deepest, depth);
    const ok = (): void => {
      done += 1;
      if (done < 10_000) next();
    };
    fixture.ask('counter', 'a', 'add', {}, { reply: { ok, error: () => {} } });
    depth -= 1;
  };
  next();
  expect([done, deepest]).toEqual([10_000, 2]);
});

test('turns give the event loop its turn after yieldAfterMs', async () => {
  const Busy = defineActor('busy', { work: {} });
  const clock: { spend: () => void } = { spend: () => {} };
  const fixture = new ActorFixture([Busy.host({ state: () => 0, work: () => clock.spend() })], { settings: { yieldAfterMs: 4 } });
  let spent = 0;
  const now = fixture.clock.now.bind(fixture.clock);
  fixture.clock.now = () => now() + spent;
  clock.spend = () => {
    spent += 1;
  };
  const asked = Array.from({ length: 10 }, (_, i) => fixture.ask('busy', `k${i}`, 'work'));
  const done = (): number => asked.filter((one) => one.outcome === 'ok').length;
  expect(done()).toBe(4);
  let seen: number | undefined;
  fixture.clock.defer(() => (seen = done()));
  await fixture.clock.settle();
  expect(done()).toBe(10);
  expect(seen).toBe(8);
});

test('one busy actor does not keep the others waiting for its whole mailbox', () => {
  const order: string[] = [];
  const Turn = defineActor('turn', { fill: {}, go: {} });
  const turn = Turn.host({
    state: () => 0,
    fill(ctx) {
      for (let i = 0; i < 100; i += 1) ctx.self.go();
      ctx.notify(Turn, 'other').go();
    },
    go: (ctx) => void order.push(ctx.key),
  });
  new ActorFixture([turn]).ask('turn', 'busy', 'fill');
  expect(order).toHaveLength(101);
  // 32 turns in a row, the first of which filled the mailbox.
  expect(order.indexOf('other')).toBe(31);
});

test('a long synchronous turn is logged by name', () => {
  const Busy = defineActor('busy', { work: {} });
  let spent = 0;
  const fixture = new ActorFixture([Busy.host({ state: () => 0, work: () => void (spent += 1_500) })]);
  const now = fixture.clock.now.bind(fixture.clock);
  fixture.clock.now = () => now() + spent;
  fixture.ask('busy', 'a', 'work');
  expect(fixture.lines).toMatchObject([
    { level: 'warn', fields: { type: 'busy', key: 'a', where: 'work', ms: 1_500 }, message: 'a turn held the event loop' },
  ]);
});

test('requests admitted together run as if alone', () => {
  const fixture = new ActorFixture([hosted()]);
  const asked: { readonly value: unknown }[] = [];
  fixture.host.admitTogether(() => {
    for (let i = 0; i < 5; i += 1) asked.push(fixture.ask('counter', 'a', 'add', {}));
  });
  expect(asked.map((one) => one.value)).toEqual([1, 2, 3, 4, 5]);
});

test('outputs are checked where that is asked for', async () => {
  const Typed = defineActor('typed', { good: { output: z.number() }, bad: { output: z.number() }, later: { output: z.number() } });
  const wrong = 'x' as unknown as number;
  const implementation = { state: () => 0, good: () => 1, bad: () => wrong, later: async () => wrong };
  const lax = new ActorFixture([Typed.host(implementation)]);
  expect(lax.ask('typed', 'a', 'bad').value).toBe('x');
  const strict = new ActorFixture([Typed.host(implementation)], { settings: { checkOutputs: true } });
  expect(strict.ask('typed', 'a', 'good').value).toBe(1);
  expect(strict.ask('typed', 'a', 'bad').error).toMatchObject({ code: 'output.invalid', executed: 'yes' });
  const later = strict.ask('typed', 'a', 'later');
  await strict.clock.settle();
  expect(later.outcome).toBe('output.invalid');
  expect(strict.lines).toHaveLength(2);
});

test('drainTurns waits for what runs and what waits', async () => {
  const gates: Gate[] = [];
  const fixture = new ActorFixture([hosted(gates)]);
  let isDrained = false;
  await fixture.host.drainTurns();
  fixture.ask('counter', 'a', 'wait');
  const last = fixture.ask('counter', 'a', 'get');
  const drained = fixture.host.drainTurns().then(() => (isDrained = true));
  await fixture.clock.settle();
  expect(isDrained).toBe(false);
  gates[0]?.open(1);
  await fixture.clock.run(drained);
  expect(last.outcome).toBe('ok');
});
