import { expect, test } from 'vitest';
import { PerkeyError } from '../base/errors.ts';
import { fromNode } from '../contract/calls.ts';
import { ActorFixture, type Asked, type FixtureOptions } from '../testkit/actor-fixture.ts';
import type { Authorize, CallToAuthorize } from './authorization.ts';
import { defineActor } from './definition.ts';

const ran: string[] = [];
const note = defineActor('note', { add: {}, get: {} }).host({
  state: () => ({ lines: [] as string[] }),
  add: (ctx) => void ran.push(`add ${ctx.key}`),
  get: (ctx) => void ran.push(`get ${ctx.key}`),
});

function world(authorize: Authorize, options: FixtureOptions = {}): ActorFixture {
  ran.length = 0;
  return new ActorFixture([note], { ...options, authorize });
}

const ask = (at: ActorFixture, key: string, method = 'add'): Asked => at.ask('note', key, method);

/** A hook whose answers the test gives. */
function answered(): {
  hook: Authorize;
  say: (place: number, verdict: boolean | string) => void;
  fail: (place: number, error: unknown) => void;
} {
  const waiting: PromiseWithResolvers<boolean | string>[] = [];
  const hook = (): Promise<boolean | string> => {
    const answer = Promise.withResolvers<boolean | string>();
    waiting.push(answer);
    return answer.promise;
  };
  return { hook, say: (place, verdict) => waiting[place]?.resolve(verdict), fail: (place, error) => waiting[place]?.reject(error) };
}

test('the hook sees who calls what, and a refusal leaves nothing resident', () => {
  const seen: CallToAuthorize[] = [];
  const at = world((call) => {
    seen.push(call);
    return call.method === 'get' || 'you may only read';
  });
  const asked = at.ask('note', 'a', 'add', { secret: 1 }, { source: { origin: 'client', principal: 'alice' }, headers: { h: '1' } });
  expect(asked.error).toMatchObject({ code: 'request.forbidden', executed: 'no', message: 'you may only read' });
  expect(at.host.inspect().resident).toBe(0);
  expect(at.ask('note', 'a', 'get', undefined, { source: fromNode }).outcome).toBe('ok');
  expect(ask(at, 'a', 'get').outcome).toBe('ok');
  expect(seen).toEqual([
    { type: 'note', key: 'a', method: 'add', caller: 'client-1', headers: { h: '1' }, source: { origin: 'client', principal: 'alice' } },
    { type: 'note', key: 'a', method: 'get', caller: 'client-1', headers: {}, source: { origin: 'node', principal: '' } },
    { type: 'note', key: 'a', method: 'get', caller: 'client-1', headers: {}, source: { origin: 'client', principal: '' } },
  ]);
  expect(at.metric('perkey_actor_refusals_total', 'code=request.forbidden,type=note')).toBe(1);
});

test.each<[string, Authorize]>([
  ['false', () => false],
  ['nothing', () => undefined as unknown as boolean],
  ['an object', () => ({}) as unknown as boolean],
  ['1', () => 1 as unknown as boolean],
  ['an error of another code', () => new PerkeyError('shard.moved', 'elsewhere') as unknown as boolean],
])('%s refuses, at once and later', async (_, hook) => {
  for (const authorize of [hook, async (call: CallToAuthorize) => hook(call)]) {
    const at = world(authorize);
    const asked = ask(at, 'a');
    await at.clock.settle();
    expect([asked.outcome, asked.error?.executed, ran]).toEqual(['request.forbidden', 'no', []]);
  }
});

test('a hook that throws refuses; what it threw stays in the log, which does not flood', async () => {
  const boom = (): boolean => {
    throw new Error('a secret');
  };
  for (const authorize of [boom, async () => boom()]) {
    const at = world(authorize);
    const asked = Array.from({ length: 200 }, (_, i) => ask(at, `k${i}`));
    await at.clock.settle();
    for (const { error } of asked)
      expect([error?.code, error?.executed, error?.message.includes('secret')]).toEqual(['request.forbidden', 'no', false]);
    const lines = at.lines.filter(({ message }) => message === 'the authorisation hook failed');
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.length).toBeLessThan(50);
    expect(lines[0]?.fields).toMatchObject({ err: { message: 'a secret' } });
  }
});

test('requests for one key go on in their order, whenever the hook says yes; other keys do not wait', async () => {
  const { hook, say } = answered();
  const at = world((call) => (call.key === 'free' || call.method === 'get' ? true : hook(call)));
  const asked = [ask(at, 'a'), ask(at, 'a', 'get'), ask(at, 'a'), ask(at, 'a', 'get'), ask(at, 'b')];
  expect(ask(at, 'free').outcome).toBe('ok');
  expect(ran).toEqual(['add free']);
  say(1, true);
  say(2, true);
  await at.clock.settle();
  expect(ran).toEqual(['add free', 'add b']);
  say(0, 'no');
  await at.clock.settle();
  expect(ran).toEqual(['add free', 'add b', 'get a', 'add a', 'get a']);
  expect(asked.map(({ outcome }) => outcome)).toEqual(['request.forbidden', 'ok', 'ok', 'ok', 'ok']);
});

test('a request that comes while those before it go on, for it was held back for one of them, keeps behind the rest', async () => {
  const { hook, say } = answered();
  const at = world((call) => (call.method === 'get' ? true : hook(call)));
  const next = (): void => void ask(at, 'a', 'get');
  const reply = { ok: next, error: next };
  at.ask('note', 'a', 'add', undefined, { reply });
  const behind = ask(at, 'a', 'add');
  say(1, 'no');
  await at.clock.settle();
  say(0, true);
  await at.clock.settle();
  expect(behind.outcome).toBe('request.forbidden');
  expect(ran).toEqual(['add a', 'get a']);
  ran.length = 0;
  at.ask('note', 'a', 'add', undefined, { reply });
  ask(at, 'a', 'add');
  say(3, true);
  await at.clock.settle();
  say(2, true);
  await at.clock.settle();
  expect(ran).toEqual(['add a', 'add a', 'get a']);
});

test('a great many requests for one key that wait for the hook cost no more than as many for others', async () => {
  const at = world(() => new Promise<boolean>(() => {}), { settings: { nodeQueueMax: 1_000_000 } });
  const asked = Array.from({ length: 200_000 }, () => ask(at, 'a'));
  let count = 0;
  at.host.cancel(() => (count += 1) === 1);
  expect(asked.map(({ outcome }) => outcome).filter((outcome) => outcome !== 'waiting')).toEqual(['request.cancelled']);
  at.host.dropShard(0);
  expect(new Set(asked.map(({ outcome }) => outcome))).toEqual(new Set(['request.cancelled', 'shard.moved']));
});

test('a hook that says nothing is given up, and what comes after it goes on', async () => {
  const { hook, say } = answered();
  const at = world((call) => call.method === 'get' || hook(call), { settings: { authorizeTimeoutMs: 1_000 } });
  const first = ask(at, 'a');
  const behind = ask(at, 'a', 'get');
  const short = at.ask('note', 'a', 'add', undefined, { deadline: at.clock.now() + 200 });
  await at.clock.advance(300);
  expect([first.outcome, behind.outcome, short.outcome]).toEqual(['waiting', 'waiting', 'request.expired']);
  await at.clock.advance(800);
  expect([first.outcome, behind.outcome]).toEqual(['request.forbidden', 'ok']);
  say(0, true);
  await at.clock.settle();
  expect(ran).toEqual(['get a']);
});

test('what waits for the hook is bounded', async () => {
  const at = world(() => new Promise<boolean>(() => {}), { settings: { nodeQueueMax: 10, authorizeTimeoutMs: 100 } });
  const asked = Array.from({ length: 12 }, (_, i) => ask(at, `k${i}`));
  expect(asked.slice(10).map(({ outcome }) => outcome)).toEqual(['node.overloaded', 'node.overloaded']);
  await at.clock.advance(200);
  expect(asked.slice(0, 10).map(({ outcome }) => outcome)).toEqual(Array.from({ length: 10 }, () => 'request.forbidden'));
  expect(ask(at, 'again').outcome).toBe('waiting');
});

test('what waits for the hook is refused with its shard, with its node, or by its caller', async () => {
  const { hook, say } = answered();
  const at = world(hook);
  at.host.openShard(1, 7, []);
  at.host.openShard(2, 7, []);
  const [moving, lost, cancelled, stopped] = [0, 1, 2, 2].map((shard) => at.askShard(shard, 'note', `k${shard}`, 'add'));
  await at.host.closeShard(0, { drainMs: 100, successor: 'b' });
  at.host.dropShard(1);
  let count = 0;
  at.host.cancel(() => (count += 1) === 1);
  expect([moving?.outcome, lost?.outcome, cancelled?.outcome]).toEqual(['shard.moved', 'shard.moved', 'request.cancelled']);
  expect(stopped?.outcome).toBe('waiting');
  await at.host.stop();
  for (let i = 0; i < 4; i += 1) say(i, true);
  await at.clock.settle();
  expect([stopped?.outcome, ran]).toEqual(['node.stopped', []]);
});

test('a hook that holds the event loop until the lease is over starts no turn, also not in the middle of a frame', async () => {
  const at = world(({ method }) => {
    if (method === 'add') heldMs += 3_000;
    return true;
  });
  let heldMs = 0;
  const now = at.clock.now.bind(at.clock);
  at.clock.now = () => now() + heldMs;
  expect(ask(at, 'a', 'get').outcome).toBe('ok');
  ran.length = 0;
  at.leaseUntil = at.clock.now() + 2_000;
  let asked: Asked | undefined;
  at.host.admitTogether(() => (asked = ask(at, 'a')));
  expect([asked?.outcome, ran]).toEqual(['waiting', []]);
  expect(at.lines.map(({ message }) => message)).toContain('the authorisation hook held the event loop');
});

test('a hook sees no key that is none', () => {
  const seen: string[] = [];
  const at = world(({ key }) => seen.push(key) > 0);
  for (const key of ['', '\ud800', 'x'.repeat(600)]) expect(ask(at, key).outcome).toBe('key.invalid');
  expect(ask(at, '__proto__').outcome).toBe('ok');
  expect(seen).toEqual(['__proto__']);
});
