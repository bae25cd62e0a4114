import { expect, test } from 'vitest';
import { z } from 'zod';
import { ActorFixture } from '../testkit/actor-fixture.ts';
import type { FixtureOptions } from '../testkit/actor-fixture.ts';
import { defineActor } from './definition.ts';

const Thing = defineActor('thing', { get: { output: z.number() }, set: { input: z.number() }, rest: {}, remember: {} });

interface Hooks {
  readonly onActivate?: (key: string, origin: string) => unknown;
  readonly onDeactivate?: (key: string, reason: string, state: unknown) => unknown;
  readonly state?: (key: string) => { n: number };
  readonly passivateAfterMs?: number;
  readonly turnTimeoutMs?: number;
  readonly settings?: FixtureOptions['settings'];
}

function host(hooks: Hooks): ActorFixture {
  const { onActivate, onDeactivate, passivateAfterMs, turnTimeoutMs } = hooks;
  const thing = Thing.host<{ n: number }>({
    state: (key: string) => hooks.state?.(key) ?? { n: 0 },
    get: (ctx) => ctx.state.n,
    set: (ctx, n) => void (ctx.state.n = n),
    rest: (ctx) => ctx.passivate(),
    remember: () => {},
    ...(onActivate && { onActivate: (ctx, origin) => onActivate(ctx.key, origin) as undefined }),
    ...(onDeactivate && { onDeactivate: (ctx, reason) => onDeactivate(ctx.key, reason, ctx.state) as undefined }),
    ...(passivateAfterMs !== undefined && { passivateAfterMs }),
    ...(turnTimeoutMs !== undefined && { turnTimeoutMs }),
  });
  return new ActorFixture([thing], hooks.settings === undefined ? {} : { settings: hooks.settings });
}

const after = (fixture: () => ActorFixture, ms: number): Promise<void> => new Promise((resolve) => fixture().clock.setTimer(ms, resolve));

test('the state may depend on the key, and a synchronous onActivate delays nothing', () => {
  const seen: unknown[] = [];
  const fixture = host({ state: (key) => ({ n: key.length }), onActivate: (key, origin) => void seen.push([key, origin]) });
  expect(fixture.ask('thing', 'abc', 'get').value).toBe(3);
  fixture.ask('thing', 'abc', 'get');
  expect(seen).toEqual([['abc', 'new']]);
  expect(fixture.metric('perkey_actor_activations_total', 'type=thing')).toBe(1);
});

test('requests wait for an asynchronous onActivate, in order', async () => {
  const fixture: ActorFixture = host({ onActivate: () => after(() => fixture, 100) });
  fixture.ask('thing', 'a', 'set', 5);
  const asked = fixture.ask('thing', 'a', 'get');
  await fixture.clock.advance(90);
  expect(asked.outcome).toBe('waiting');
  expect(fixture.host.control('thing', 'a')?.status).toBe('activating');
  await fixture.clock.advance(20);
  expect(asked.value).toBe(5);
});

test.each([
  [
    'state throws',
    {
      state: (): never => {
        throw new Error('no');
      },
    },
  ],
  [
    'onActivate throws',
    {
      onActivate: (): never => {
        throw new Error('no');
      },
    },
  ],
  ['onActivate rejects', { onActivate: () => Promise.reject(new Error('no')) }],
  ['onActivate does not settle', { onActivate: () => new Promise(() => {}), turnTimeoutMs: 50 }],
])('%s: what waits is refused and the activation is discarded', async (_name, hooks) => {
  const fixture = host(hooks);
  const asked = [fixture.ask('thing', 'a', 'get'), fixture.ask('thing', 'a', 'get')];
  await fixture.clock.advance(100);
  expect(asked.map((one) => [one.outcome, one.error?.executed])).toEqual([
    ['actor.activation_failed', 'no'],
    ['actor.activation_failed', 'no'],
  ]);
  expect(fixture.host.inspect()).toMatchObject({ resident: 0, waiting: 0, running: 0 });
  expect(fixture.lines.length).toBeGreaterThan(0);
});

test('F19: a key that fails to activate five times has to wait, longer each time; other keys do not', async () => {
  let isBroken = true;
  let tries = 0;
  const fixture = host({
    onActivate(key) {
      tries += 1;
      if (isBroken && key === 'bad') throw new Error('no');
    },
  });
  const ask = () => fixture.ask('thing', 'bad', 'get');
  for (let i = 0; i < 5; i += 1) expect(ask().error?.retryAfterMs).toBeUndefined();
  const refused = ask();
  expect(refused.error).toMatchObject({ code: 'actor.activation_failed', executed: 'no' });
  expect(refused.error?.retryAfterMs).toBeLessThanOrEqual(1_250);
  expect(tries).toBe(5);
  expect(fixture.ask('thing', 'good', 'get').outcome).toBe('ok');
  await fixture.clock.advance(1_250);
  expect(ask().error?.retryAfterMs).toBeUndefined();
  expect(ask().error?.retryAfterMs).toBeGreaterThan(1_250);
  isBroken = false;
  await fixture.clock.advance(2_500);
  expect(ask().outcome).toBe('ok');
  expect(fixture.host.inspect().resident).toBe(2);
});

test('an actor that may not be passivated stays', async () => {
  const fixture = host({});
  fixture.ask('thing', 'a', 'set', 1);
  await fixture.clock.advance(1_000_000);
  expect(fixture.ask('thing', 'a', 'get').value).toBe(1);
});

test('an actor without work is passivated on time, never early', async () => {
  const left: unknown[] = [];
  const fixture = host({ passivateAfterMs: 1_000, onDeactivate: (...args) => void left.push(args) });
  fixture.ask('thing', 'a', 'set', 1);
  fixture.ask('thing', 'b', 'set', 2);
  await fixture.clock.advance(600);
  expect(fixture.ask('thing', 'a', 'get').value).toBe(1);
  await fixture.clock.advance(399);
  expect(left).toEqual([]);
  await fixture.clock.advance(60);
  expect(left).toEqual([['b', 'passivated', { n: 2 }]]);
  await fixture.clock.advance(500);
  expect(left).toHaveLength(1);
  await fixture.clock.advance(100);
  expect(left).toHaveLength(2);
  expect(fixture.ask('thing', 'a', 'get').value).toBe(0);
  expect(fixture.metric('perkey_actor_deactivations_total', 'reason=passivated,type=thing')).toBe(2);
  await fixture.clock.advance(2_000);
  expect(fixture.clock.pending).toBe(0);
});

test('remembered replies keep an actor until they are old', async () => {
  const fixture = host({ passivateAfterMs: 1_000, settings: { idempotencyAgeMs: 5_000 } });
  fixture.ask('thing', 'a', 'remember', undefined, { idempotencyKey: 'x' });
  await fixture.clock.advance(4_900);
  expect(fixture.host.inspect().resident).toBe(1);
  await fixture.clock.advance(2_200);
  expect(fixture.host.inspect().resident).toBe(0);
});

test('what comes while an actor leaves is served by a new one', async () => {
  const fixture: ActorFixture = host({ passivateAfterMs: 1_000, onDeactivate: () => after(() => fixture, 500) });
  fixture.ask('thing', 'a', 'set', 1);
  await fixture.clock.advance(1_100);
  expect(fixture.host.control('thing', 'a')?.status).toBe('deactivating');
  const asked = fixture.ask('thing', 'a', 'get');
  await fixture.clock.advance(300);
  expect(asked.outcome).toBe('waiting');
  await fixture.clock.advance(200);
  expect(asked.value).toBe(0);
});

test('an onDeactivate that throws or never ends changes nothing', async () => {
  const throwing = host({ passivateAfterMs: 100, onDeactivate: () => Promise.reject(new Error('x')) });
  const hanging = host({ passivateAfterMs: 100, onDeactivate: () => new Promise(() => {}), turnTimeoutMs: 300 });
  for (const fixture of [throwing, hanging]) {
    fixture.ask('thing', 'a', 'set', 1);
    await fixture.clock.advance(600);
    expect(fixture.host.inspect()).toMatchObject({ resident: 0, running: 0 });
    expect(fixture.ask('thing', 'a', 'get').value).toBe(0);
    expect(fixture.lines).toHaveLength(1);
  }
});

test('an actor may ask to be given up', () => {
  const fixture = host({ passivateAfterMs: 1_000 });
  fixture.ask('thing', 'a', 'set', 1);
  expect(fixture.ask('thing', 'a', 'rest').outcome).toBe('ok');
  expect(fixture.host.inspect().resident).toBe(0);
  expect(host({}).ask('thing', 'a', 'rest').outcome).toBe('handler.failed');
});

test('many actors are passivated in pieces', async () => {
  let inThisTurn = 0;
  let most = 0;
  let left = 0;
  const fixture: ActorFixture = host({
    passivateAfterMs: 1_000,
    settings: { yieldAfterMs: 1 },
    onDeactivate() {
      if (inThisTurn === 0) fixture.clock.defer(() => (inThisTurn = 0));
      inThisTurn += 1;
      most = Math.max(most, inThisTurn);
      left += 1;
    },
  });
  for (let i = 0; i < 2_000; i += 1) fixture.ask('thing', `k${i}`, 'set', 1);
  let spent = 0;
  const now = fixture.clock.now.bind(fixture.clock);
  fixture.clock.now = () => now() + (spent += 0.2);
  await fixture.clock.advance(1_100);
  expect(left).toBe(2_000);
  expect(most).toBeLessThan(500);
});

test('a node that is full refuses new keys and drops none, unless one may go', async () => {
  const stays = host({ settings: { actorsResidentMax: 2 } });
  const goes = host({ settings: { actorsResidentMax: 2 }, passivateAfterMs: 1_000 });
  for (const fixture of [stays, goes]) {
    for (const key of ['a', 'b']) fixture.ask('thing', key, 'set', 1);
    expect(fixture.ask('thing', 'c', 'get').error).toMatchObject({
      code: 'actor.limit',
      executed: 'no',
      details: { actorsResidentMax: 2 },
    });
    expect(fixture.ask('thing', 'a', 'get').value).toBe(1);
  }
  goes.clock.freeze();
  await goes.clock.advance(1_000);
  goes.clock.thaw();
  const asked = goes.ask('thing', 'c', 'get');
  await goes.clock.settle();
  expect(asked.outcome).toBe('ok');
});

test('stopping refuses what waits, abandons what runs, and runs the hooks', async () => {
  const left: unknown[] = [];
  const Busy = defineActor('busy', { hang: {}, go: {} });
  const busy = Busy.host({
    state: () => 0,
    hang: () => new Promise<void>(() => {}),
    go: () => {},
    onDeactivate: (ctx, reason) => void left.push([ctx.key, reason]),
  });
  const fixture = new ActorFixture([busy]);
  const asked = [fixture.ask('busy', 'a', 'hang'), fixture.ask('busy', 'a', 'go')];
  fixture.ask('busy', 'b', 'go');
  const stopped = fixture.host.stop();
  expect(asked.map((one) => one.outcome)).toEqual(['turn.abandoned', 'node.stopped']);
  expect(fixture.ask('busy', 'c', 'go').outcome).toBe('node.stopped');
  await fixture.clock.run(stopped);
  expect(left).toEqual([
    ['a', 'stopped'],
    ['b', 'stopped'],
  ]);
  expect(fixture.clock.pending).toBe(0);
  await fixture.host.stop();
});

test('stopping does not wait for a hook for ever', async () => {
  const fixture = host({ onDeactivate: () => new Promise(() => {}) });
  fixture.ask('thing', 'a', 'get');
  await fixture.clock.run(fixture.host.stop(300), { limitMs: 320 });
});
