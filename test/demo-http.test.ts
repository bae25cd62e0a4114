import fc from 'fast-check';
import { once } from 'node:events';
import { connect as dial } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DemoProcess } from './support/demo-process.ts';
import { type HttpAnswer, type HttpCall, send } from './support/http-load.ts';

let demo: DemoProcess;
let lastId = 0;
const freshId = (): string => `id-${(lastId += 1)}`;
const call = (wanted: HttpCall): Promise<HttpAnswer> => send(demo.url, wanted);
const increment = (id: string, more: Omit<HttpCall, 'path'> = {}): Promise<HttpAnswer> =>
  call({ method: 'POST', path: `/counter/${encodeURIComponent(id)}/increment`, ...more });
const get = (id: string): Promise<HttpAnswer> => call({ path: `/counter/${encodeURIComponent(id)}` });

interface Told {
  readonly value?: number;
  readonly counter_id?: string;
  readonly code?: string;
  readonly executed?: string;
  readonly status?: number;
  readonly [more: string]: unknown;
}
const told = ({ body }: HttpAnswer): Told => JSON.parse(body) as Told;

/** The status and what the problem says, after a look at its form. */
function problem(answer: HttpAnswer): readonly [number, string | undefined, string | undefined] {
  expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
  const { status, code, executed, title, detail } = told(answer);
  expect(status).toBe(answer.status);
  expect([typeof title, typeof detail]).toEqual(['string', 'string']);
  expect(answer.body).not.toMatch(/127\.0\.0\.1|node_modules|\.ts\b|\bat .*:\d+:\d+/);
  return [answer.status, code, executed];
}

/** What a server says to these very bytes. */
async function raw(bytes: string | Buffer): Promise<string> {
  const socket = dial(Number(new URL(demo.url).port), '127.0.0.1');
  socket.on('error', () => undefined);
  socket.write(bytes);
  let text = '';
  socket.setEncoding('utf8').on('data', (part: string) => (text += part));
  await once(socket, 'close');
  return text;
}

beforeAll(async () => {
  demo = await DemoProcess.ready();
});
afterAll(() => demo[Symbol.asyncDispose]());

describe('increment and get', () => {
  test('no body adds one, and an id never used answers 0', async () => {
    const id = freshId();
    expect(told(await get(id))).toEqual({ counter_id: id, value: 0 });
    const answer = await increment(id);
    expect([answer.status, answer.body]).toEqual([200, `{"counter_id":"${id}","value":1}`]);
    expect(answer.headers['content-type']).toMatch(/^application\/json/);
    expect(told(await get(id))).toEqual({ counter_id: id, value: 1 });
  });

  test.each([
    ['{"amount": 5}', 5],
    ['{"amount": -5}', -5],
    ['{"amount": 0}', 0],
    ['{"amount": 1e3}', 1000],
    ['{"amount": 2.0}', 2],
    ['{"amount": -0}', 0],
    ['{"amount": 9007199254740991}', Number.MAX_SAFE_INTEGER],
    ['{"amount": -9007199254740991}', Number.MIN_SAFE_INTEGER],
    ['{}', 1],
    ['{"other": 5}', 1],
    ['{"__proto__": {"amount": 5}}', 1],
    [' \n{"amount": 5}\t', 5],
    ['', 1],
  ])('a body of %j adds %d', async (body, value) => {
    expect(told(await increment(freshId(), { body })).value).toBe(value);
  });

  test.each(['application/json', 'text/html', 'application/x-www-form-urlencoded', 'garbage', '', ';;;'])(
    'a body counts as JSON under content type %j',
    async (type) => {
      const headers = { 'content-type': type };
      expect(told(await increment(freshId(), { headers, body: '{"amount": 3}' })).value).toBe(3);
      expect(told(await increment(freshId(), { headers })).value).toBe(1);
    },
  );

  test('chunked bodies count, an empty one as none', async () => {
    const headers = { 'transfer-encoding': 'chunked' };
    expect(told(await increment(freshId(), { headers, body: '{"amount": 4}' })).value).toBe(4);
    expect(told(await increment(freshId(), { headers })).value).toBe(1);
    const parts = 'POST /counter/parts/increment HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n';
    expect(await raw(`${parts}5\r\n{"amo\r\n8\r\nunt": 6}\r\n0\r\n\r\n`)).toContain('"value":6}');
  });

  test('a query is not part of the id', async () => {
    const id = freshId();
    expect(told(await call({ method: 'POST', path: `/counter/${id}/increment?a=b` })).value).toBe(1);
    expect(told(await call({ path: `/counter/${id}?x` })).value).toBe(1);
  });

  test.each([
    ['{', 'http.body_not_json'],
    ['amount=5', 'http.body_not_json'],
    ['\u0000', 'http.body_not_json'],
    ['null', 'input.invalid'],
    ['5', 'input.invalid'],
    ['"5"', 'input.invalid'],
    ['[]', 'input.invalid'],
    ['{"amount": 1.5}', 'input.invalid'],
    ['{"amount": "1"}', 'input.invalid'],
    ['{"amount": null}', 'input.invalid'],
    ['{"amount": true}', 'input.invalid'],
    ['{"amount": [1]}', 'input.invalid'],
    ['{"amount": {}}', 'input.invalid'],
    ['{"amount": 1e400}', 'input.invalid'],
    ['{"amount": 9007199254740992}', 'input.invalid'],
    ['{"amount": -9007199254740992}', 'input.invalid'],
  ])('a body of %j is refused', async (body, code) => {
    const id = freshId();
    expect(problem(await increment(id, { body }))).toEqual([400, code, 'no']);
    expect(told(await get(id)).value).toBe(0);
  });

  test('a deep body is refused, and the field that does not fit is named', async () => {
    const deep = await increment(freshId(), { body: `{"amount": ${'['.repeat(20_000)}${']'.repeat(20_000)}}` });
    expect(deep.status).toBe(400);
    problem(deep);
    expect(told(await increment(freshId(), { body: '{"amount": 1.5}' }))['errors']).toMatchObject([{ path: 'amount' }]);
  });

  test('64 KiB fit, more do not, whether the length is told or not', async () => {
    const body = (size: number): string => `{"amount": 2${' '.repeat(size - 13)}}`;
    expect(body(65_536)).toHaveLength(65_536);
    for (const headers of [{}, { 'transfer-encoding': 'chunked' }] as Record<string, string>[]) {
      expect(told(await increment(freshId(), { headers, body: body(65_536) })).value).toBe(2);
      expect(problem(await increment(freshId(), { headers, body: body(65_537) }))).toEqual([413, 'http.body_too_large', 'no']);
    }
  });

  test('the sum stays within the safe integers, or the counter as it is', async () => {
    const id = freshId();
    const most = Number.MAX_SAFE_INTEGER;
    await increment(id, { body: `{"amount": ${most}}` });
    expect(problem(await increment(id))).toEqual([422, 'counter.out_of_range', 'yes']);
    expect(told(await get(id)).value).toBe(most);
    expect(told(await increment(id, { body: '{"amount": -1}' })).value).toBe(most - 1);
  });
});

describe('ids', () => {
  const strange = [
    ...['.', '..', '...', ' ', '  ', '*', '>', 'a.b', 'a..b', '.a', 'a.', 'x.*', 'a>b', '/', 'a/b', '//', '%', '%2F', '%252F', '%00'],
    ...['?', '#', 'a#b', 'a?b', '&', '+', ';', 'a;b', ':', ':id', '@', '=', '\\', '\n', '\r\n', '\t', '\u0000', '\u000b', '\u001b[31m'],
    ...['increment', 'counter', 'INCREMENT', 'Increment', 'é', 'e\u0301', 'É', '日本語', 'שלום', 'مرحبا', '😀', '👨‍👩‍👧', '\u2028', '\u00a0'],
    ...[
      '\ufeff',
      '__proto__',
      'constructor',
      'toString',
      'null',
      'undefined',
      '0',
      '-1',
      '"',
      "'",
      '<b>',
      'a'.repeat(512),
      'ß'.repeat(256),
    ],
  ];

  test('each of many strange ids is a counter of its own', async () => {
    const ids = [...new Set(strange)];
    for (const [index, id] of ids.entries()) {
      const answer = await increment(id, { body: JSON.stringify({ amount: 1000 + index }) });
      expect(answer.status, JSON.stringify(id)).toBe(200);
    }
    for (const [index, id] of ids.entries()) expect(told(await get(id))).toEqual({ counter_id: id, value: 1000 + index });
  });

  test('an id comes out as it was put in, however it is escaped', async () => {
    const everyByte = (text: string): string => Buffer.from(text).toString('hex').replace(/../g, '%$&');
    const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }).filter((id) => id.isWellFormed());
    await fc.assert(
      fc.asyncProperty(text, async (id) => {
        for (const escaped of [encodeURIComponent(id), everyByte(id), everyByte(id).toUpperCase()]) {
          expect(told(await call({ path: `/counter/${escaped}` })).counter_id).toBe(id);
        }
      }),
      { numRuns: 100 },
    );
  });

  test('what a client left unescaped is part of the id, or refused', async () => {
    const ask = (id: string): Promise<string> => raw(Buffer.from(`GET /counter/${id} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`));
    expect(await ask('a#b')).toContain('{"counter_id":"a#b",');
    expect(await ask('a;b&c=d+e|"<>^`{}')).toContain(`{"counter_id":${JSON.stringify('a;b&c=d+e|"<>^`{}')},`);
    expect(await ask('..')).toContain('{"counter_id":"..",');
    for (const id of ['é', 'a b', 'a\tb']) expect(await ask(id)).toMatch(/^HTTP\/1\.1 400 .*"executed":"no"/s);
  });

  test.each(['%', '%2', '%zz', '%ff', '%c3', '%ed%a0%80', 'a%', '%u0041'])('the escape %j is refused', async (id) => {
    expect(problem(await call({ path: `/counter/${id}` }))).toEqual([400, 'http.bad_path', 'no']);
    expect(problem(await call({ method: 'POST', path: `/counter/${id}/increment` }))).toEqual([400, 'http.bad_path', 'no']);
  });

  test.each(['a'.repeat(513), 'ß'.repeat(257), '😀'.repeat(129), 'x'.repeat(2_000)])('an id over 512 bytes is refused', async (id) => {
    expect(problem(await get(id))).toEqual([400, 'key.invalid', 'no']);
    expect(problem(await increment(id))).toEqual([400, 'key.invalid', 'no']);
  });
});

describe('everything else', () => {
  test('the help has the three lines to try', async () => {
    const answer = await call({ path: '/' });
    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'text/plain; charset=utf-8']);
    expect(answer.body.match(/^curl .*$/gm)).toHaveLength(3);
    expect(answer.body).toContain(`:${new URL(demo.url).port}/counter/`);
  });

  test('health says what it saw', async () => {
    const answer = await call({ path: '/health' });
    expect(answer.status).toBe(200);
    expect(told(answer)).toEqual({
      status: 'ok',
      checks: { connection: { ok: true, saw: 'connected' }, shards: { ok: true, saw: '64 of 64 have an owner' } },
    });
  });

  test.each([
    ...['/nope', '/counter', '/counter/', '/counter/a/', '/counter//increment', '/counter/a/increment/', '/counter/a/Increment'],
    ...['/Counter/a', '/counter/a/b/increment', '//counter/a', '/counter/a/increments', '/health/', '/health/x', '/metrics'],
  ])('nothing is at %s', async (path) => {
    for (const method of ['GET', 'POST', 'DELETE']) expect(problem(await call({ method, path }))).toEqual([404, 'http.not_found', 'no']);
  });

  test.each([
    ['/counter/a/increment', 'POST', ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND', 'QUERY']],
    ['/counter/a', 'GET, HEAD', ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PURGE', 'QUERY']],
    ['/', 'GET, HEAD', ['POST', 'DELETE']],
    ['/health', 'GET, HEAD', ['POST', 'DELETE']],
  ])('%s allows only %s', async (path, allow, methods) => {
    for (const method of methods) {
      const answer = await call({ method, path });
      expect([method, answer.status, answer.headers['allow']]).toEqual([method, 405, allow]);
      if (method !== 'HEAD') problem(answer);
    }
  });

  test('HEAD answers as GET does, without a body', async () => {
    const answer = await call({ method: 'HEAD', path: '/counter/a' });
    expect([answer.status, answer.body]).toEqual([200, '']);
  });

  test('what is no HTTP, or too much of it, is answered as a problem', async () => {
    expect(await raw('nonsense\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 .*application\/problem\+json/s);
    const both = 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n';
    expect(await raw(`POST /counter/a/increment HTTP/1.1\r\nHost: x\r\n${both}\r\n0\r\n\r\n`)).toMatch(/^HTTP\/1\.1 400 /);
    expect(await raw(`GET /counter/${'a'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`)).toMatch(/^HTTP\/1\.1 431 .*"executed":"no"/s);
  });
});

describe('headers of a request', () => {
  test('a repeat with the same Idempotency-Key answers as the first did', async () => {
    const id = freshId();
    const headers = { 'idempotency-key': 'once' };
    const answers = [await increment(id, { headers, body: '{"amount": 3}' }), await increment(id, { headers, body: '{"amount": 3}' })];
    expect(answers.map((answer) => told(answer).value)).toEqual([3, 3]);
    expect(told(await increment(id, { headers: { 'idempotency-key': 'twice' } })).value).toBe(4);
    expect(told(await increment(id, { headers })).value).toBe(3);
    expect(told(await increment(freshId(), { headers })).value).toBe(1);
    expect(told(await get(id)).value).toBe(4);
  });

  test.each(['', ' ', 'x'.repeat(257)])('an Idempotency-Key of %j is refused', async (key) => {
    expect(problem(await increment(freshId(), { headers: { 'idempotency-key': key } }))).toEqual([400, 'http.bad_header', 'no']);
  });

  test.each(['0', '-1', '1.5', 'abc', '', '1e3', '99999999999'])('an X-Request-Timeout-Ms of %j is refused', async (timeout) => {
    const headers = { 'x-request-timeout-ms': timeout };
    expect(problem(await increment(freshId(), { headers }))).toEqual([400, 'http.bad_header', 'no']);
    expect(problem(await call({ path: '/counter/a', headers }))).toEqual([400, 'http.bad_header', 'no']);
  });

  test('timeouts within and above the bounds are taken, and any traceparent', async () => {
    for (const timeout of ['2000', '60000', '999999999']) {
      expect((await increment(freshId(), { headers: { 'x-request-timeout-ms': timeout } })).status).toBe(200);
    }
    for (const traceparent of ['00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', 'nonsense', '']) {
      expect((await increment(freshId(), { headers: { traceparent } })).status).toBe(200);
    }
  });
});
