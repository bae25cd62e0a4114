import { type CallOptions, type Client, type ErrorCode, errorCatalogue, PerkeyError } from '@perkey/core';
import { pino } from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import { counterProblem } from '../examples/counter/src/counter-problem.ts';
import { createHttpServer } from '../examples/support/src/http-server.ts';
import { addRoutes } from '../examples/counter/src/routes.ts';

interface Call {
  readonly id: string;
  readonly input?: unknown;
  readonly options: CallOptions;
}

/** The HTTP API with an answer of its own in place of a cluster. */
function apiWith(answer: (call: Call) => Promise<unknown>): ReturnType<typeof createHttpServer> {
  const actor = (_contract: unknown, id: string): object => ({
    increment: (input: unknown, options: CallOptions) => answer({ id, input, options }),
    get: (options: CallOptions) => answer({ id, options }),
  });
  const app = createHttpServer(pino({ level: 'silent' }), counterProblem);
  addRoutes(app, { actor } as unknown as Client);
  return app;
}

let app: ReturnType<typeof createHttpServer>;
afterEach(() => app.close());

describe('what a request says about its call', () => {
  const callOf = async (headers: Record<string, string>, method: 'GET' | 'POST' = 'POST'): Promise<CallOptions> => {
    let seen: CallOptions = {};
    app = apiWith(({ options }) => {
      seen = options;
      return Promise.resolve({ counter_id: 'a', value: 1 });
    });
    const { statusCode } = await app.inject({ method, url: method === 'POST' ? '/counter/a/increment' : '/counter/a', headers });
    expect(statusCode).toBe(200);
    return seen;
  };

  test('5 s unless it says so itself, and a minute at most', async () => {
    expect(await callOf({})).toEqual({ timeoutMs: 5_000 });
    expect((await callOf({ 'x-request-timeout-ms': '1' })).timeoutMs).toBe(1);
    expect((await callOf({ 'x-request-timeout-ms': '60000' }, 'GET')).timeoutMs).toBe(60_000);
    expect((await callOf({ 'x-request-timeout-ms': '60001' })).timeoutMs).toBe(60_000);
  });

  test('the idempotency key counts for a POST alone', async () => {
    expect(await callOf({ 'idempotency-key': 'k' })).toMatchObject({ idempotencyKey: 'k', timeoutMs: 5_000 });
    expect((await callOf({ 'idempotency-key': 'k' }, 'GET')).idempotencyKey).toBeUndefined();
  });

  test('a well-formed traceparent is carried on, and no other header', async () => {
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    expect((await callOf({ traceparent, cookie: 'a=b' })).headers).toEqual({ traceparent });
    expect((await callOf({ traceparent }, 'GET')).headers).toEqual({ traceparent });
    for (const wrong of ['', 'x', traceparent.toUpperCase().replace('4BF9', 'XXXX'), `${traceparent}x`, `9${traceparent}`]) {
      expect((await callOf({ traceparent: wrong })).headers).toBeUndefined();
    }
  });
});

describe('errors', () => {
  const statuses: Readonly<Record<number, readonly ErrorCode[]>> = {
    400: ['input.invalid', 'key.invalid', 'payload.not_plain'],
    403: ['request.forbidden'],
    409: ['idempotency.mismatch'],
    413: ['payload.too_large'],
    429: ['mailbox.full'],
    502: ['node.lost', 'link.lost', 'turn.abandoned'],
    503: ['shard.no_owner', 'node.overloaded', 'client.overloaded', 'actor.limit', 'actor.unknown_type', 'client.closed'],
    504: ['deadline.exceeded', 'request.expired', 'turn.timeout'],
    500: ['handler.failed', 'output.invalid', 'reply.too_large', 'request.refused', 'method.unknown'],
  };

  test.each(Object.entries(statuses).flatMap(([status, codes]) => codes.map((code) => [code, Number(status)] as const)))(
    '%s is a %d with its verdict, and without its message',
    async (code, status) => {
      app = apiWith(() => Promise.reject(new PerkeyError(code, 'node-3 at 10.0.0.1:4222 said no', { details: { issues: [] } })));
      const answer = await app.inject({ method: 'POST', url: '/counter/a/increment' });
      expect(answer.statusCode).toBe(status);
      expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
      expect(answer.headers['retry-after']).toBe(status === 503 || status === 429 ? '1' : undefined);
      expect(answer.json()).toMatchObject({ status, code, executed: errorCatalogue[code].executed, type: 'about:blank' });
      expect(answer.body).not.toMatch(/node-3|10\.0\.0\.1/);
    },
  );

  test('Retry-After follows the hint, in whole seconds', async () => {
    app = apiWith(() => Promise.reject(new PerkeyError('mailbox.full', 'full', { retryAfterMs: 2_100 })));
    expect((await app.inject({ method: 'POST', url: '/counter/a/increment' })).headers['retry-after']).toBe('3');
  });

  test('what is not foreseen is a 500 that tells nothing', async () => {
    app = apiWith(() => Promise.reject(new TypeError('secret')));
    const answer = await app.inject({ url: '/counter/a' });
    expect(answer.json()).toMatchObject({ status: 500, code: 'http.internal', executed: 'unknown' });
    expect(answer.body).not.toContain('secret');
  });
});
