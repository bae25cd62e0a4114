import { expect, test } from 'vitest';
import { z } from 'zod';
import { PerkeyError } from '../base/errors.ts';
import { ActorFixture } from '../testkit/actor-fixture.ts';
import { defineActor } from './definition.ts';
import type { TurnMiddleware } from './middleware.ts';

const Echo = defineActor('echo', {
  say: { input: z.object({ text: z.string().default('x') }), output: z.unknown() },
  later: { output: z.unknown() },
  fail: {},
});

function host(...middleware: TurnMiddleware[]): ActorFixture {
  const echo = Echo.host({
    state: () => ({ turns: 0 }),
    say(ctx, { text }) {
      ctx.state.turns += 1;
      return [text, ctx.state.turns];
    },
    later: async () => 'later',
    fail() {
      throw new Error('inside');
    },
  });
  return new ActorFixture([echo], { middleware });
}

test('middleware sees the checked call and wraps it, the first outermost', () => {
  const seen: unknown[] = [];
  const fixture = host(
    (call, next) => {
      seen.push([call.type, call.key, call.method, call.input, call.headers, call.caller, call.idempotencyKey, call.remainingMs()]);
      return { outer: next() };
    },
    (_call, next) => ({ inner: next() }),
  );
  expect(fixture.ask('echo', 'k', 'say', {}).value).toEqual({ outer: { inner: ['x', 1] } });
  expect(seen).toEqual([['echo', 'k', 'say', { text: 'x' }, {}, 'client-1', undefined, 5_000]]);
});

test('middleware may be asynchronous around both kinds of handlers', async () => {
  const fixture = host(async (_call, next) => {
    await Promise.resolve();
    return [await next()];
  });
  const asked = [fixture.ask('echo', 'k', 'say', {}), fixture.ask('echo', 'k', 'later')];
  await fixture.clock.settle();
  expect(asked.map((one) => one.value)).toEqual([[['x', 1]], ['later']]);
});

test('middleware refuses before the handler runs', async () => {
  const refusals: TurnMiddleware[] = [
    () => {
      throw new PerkeyError('request.refused', 'not you', { details: { why: 'role' } });
    },
    async () => {
      throw new Error('secret');
    },
  ];
  const [told, hidden] = refusals.map((middleware) => host(middleware));
  expect(told?.ask('echo', 'k', 'say', {}).error).toMatchObject({
    code: 'request.refused',
    executed: 'no',
    message: 'not you',
    details: { why: 'role' },
  });
  expect(told?.lines).toEqual([]);
  const asked = hidden?.ask('echo', 'k', 'say', {});
  await hidden?.clock.settle();
  expect(asked?.error).toMatchObject({ code: 'request.refused', executed: 'no' });
  expect(asked?.error?.message).not.toContain('secret');
  expect(hidden?.lines).toMatchObject([{ fields: { err: { message: 'secret' } } }]);
});

test('what is thrown after next counts as thrown by the handler', () => {
  const fixture = host((_call, next) => {
    next();
    throw new PerkeyError('request.refused', 'too late');
  });
  expect(fixture.ask('echo', 'k', 'say', {}).error).toMatchObject({ code: 'handler.failed', executed: 'yes' });
  expect(host((_call, next) => next()).ask('echo', 'k', 'fail').outcome).toBe('handler.failed');
});

test('next runs the handler once', () => {
  const fixture = host((_call, next) => {
    next();
    return next();
  });
  expect(fixture.ask('echo', 'k', 'say', {}).outcome).toBe('handler.failed');
  expect(host((_call, next) => next()).ask('echo', 'k', 'say', {}).value).toEqual(['x', 1]);
});

test('a middleware may answer by itself', () => {
  expect(host(() => 'cached').ask('echo', 'k', 'say', {}).value).toBe('cached');
});
