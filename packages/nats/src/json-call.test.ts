import { MsgHdrsImpl } from '@nats-io/transport-node';
import type { Msg } from '@nats-io/transport-node';
import { PerkeyError } from '@perkey/core';
import { expect, test } from 'vitest';
import { readJsonCall, writeJsonAnswer, writeJsonError } from './json-call.ts';

const target = { type: 'counter', method: 'increment', principal: '' };

function message(body: string | Uint8Array, marks: Readonly<Record<string, string>> = {}): Msg {
  const headers = new MsgHdrsImpl();
  for (const [name, value] of Object.entries(marks)) headers.set(name, value);
  return { data: typeof body === 'string' ? Buffer.from(body) : body, headers } as unknown as Msg;
}

test('the key comes from the header, percent-encoded, and the body is the input', () => {
  const call = readJsonCall(message('{"amount":5}', { 'Perkey-Key': encodeURIComponent('ä/*> \r\n') }), target, 100);
  expect(call).toMatchObject({
    ...target,
    key: 'ä/*> \r\n',
    input: { amount: 5 },
    timeoutMs: undefined,
    idempotencyKey: undefined,
    headers: {},
  });
  expect(readJsonCall(message('', { 'Perkey-Key': 'a' }), target, 100).input).toBeUndefined();
  expect(readJsonCall(message('[1]', { 'perkey-key': 'a' }), target, 100)).toMatchObject({ key: 'a', input: [1] });
});

test('the key comes from the body where there is no header', () => {
  expect(readJsonCall(message('{"key":"a","input":{"amount":5}}'), target, 100)).toMatchObject({ key: 'a', input: { amount: 5 } });
  expect(readJsonCall(message('{"key":"a"}'), target, 100)).toMatchObject({ key: 'a', input: undefined });
});

test('headers that are known are taken, others are not', () => {
  const marks = {
    'Perkey-Key': 'a',
    'Perkey-Timeout-Ms': '1500',
    'Idempotency-Key': 'once-1',
    traceparent: '00-1',
    tracestate: 'x=y',
    authorization: 'hush',
    'Nats-Msg-Id': '1',
  };
  expect(readJsonCall(message('', marks), target, 100)).toEqual({
    ...target,
    key: 'a',
    input: undefined,
    timeoutMs: 1_500,
    idempotencyKey: 'once-1',
    headers: { traceparent: '00-1', tracestate: 'x=y' },
  });
});

test('what is not well formed is refused, before anything was executed', () => {
  const bad: readonly (readonly [Msg, string])[] = [
    [message('{"key":"a",'), 'request.malformed'],
    [message(Uint8Array.of(0x22, 0xff, 0x22)), 'request.malformed'],
    [message('x'.repeat(101)), 'payload.too_large'],
    [message(''), 'key.invalid'],
    [message('[]'), 'key.invalid'],
    [message('{"input":1}'), 'key.invalid'],
    [message('{"key":""}'), 'key.invalid'],
    [message('{"key":7}'), 'key.invalid'],
    [message('{"__proto__":{"key":"a"}}'), 'key.invalid'],
    [message('{}', { 'Perkey-Key': '%' }), 'key.invalid'],
    [message('{}', { 'Perkey-Key': '%ff' }), 'key.invalid'],
    [message('{}', { 'Perkey-Key': 'a', 'Perkey-Timeout-Ms': '0' }), 'request.malformed'],
    [message('{}', { 'Perkey-Key': 'a', 'Perkey-Timeout-Ms': '-5' }), 'request.malformed'],
    [message('{}', { 'Perkey-Key': 'a', 'Perkey-Timeout-Ms': '1e3' }), 'request.malformed'],
    [message('{}', { 'Perkey-Key': 'a', 'Perkey-Timeout-Ms': '600001' }), 'request.malformed'],
    [message('{}', { 'Perkey-Key': 'a', 'Idempotency-Key': 'a b' }), 'request.malformed'],
    [message('{}', { 'Perkey-Key': 'a', 'Idempotency-Key': 'x'.repeat(257) }), 'request.malformed'],
  ];
  for (const [given, code] of bad)
    expect(() => readJsonCall(given, target, 100)).toThrow(expect.objectContaining({ code, executed: 'no' }));
});

test('an answer is JSON; no output is null', () => {
  expect(writeJsonAnswer({ value: 7 }, 100)).toEqual({ body: '{"value":7}' });
  expect(writeJsonAnswer(undefined, 100)).toEqual({ body: 'null' });
});

test('an output without JSON form or over the limit says that the handler ran', () => {
  expect(writeJsonAnswer({ value: 7n }, 1_000).error).toMatchObject({ code: 'reply.not_plain', executed: 'yes' });
  expect(writeJsonAnswer(() => 1, 1_000).error).toMatchObject({ code: 'reply.not_plain', executed: 'yes' });
  expect(writeJsonAnswer('x'.repeat(1_000), 900).error).toMatchObject({ code: 'reply.too_large', executed: 'yes' });
});

test('an error is told in headers and body, with its verdict and hints', () => {
  const { body, headers } = writeJsonError(new PerkeyError('mailbox.full', 'füll\r\nX: y', { retryAfterMs: 20, details: { a: 1 } }), 1_000);
  expect(JSON.parse(body)).toEqual({
    code: 'mailbox.full',
    message: 'füll\\r\\nX: y',
    executed: 'no',
    retryAfterMs: 20,
    details: { a: 1 },
  });
  expect(headers?.get('Perkey-Error-Code')).toBe('mailbox.full');
  expect(headers?.get('Perkey-Executed')).toBe('no');
  expect(headers?.get('Nats-Service-Error-Code')).toBe('429');
  expect(headers?.get('Nats-Service-Error')).toBe('f?ll\\r\\nX: y');
});

test('what is not an error of the catalogue keeps its text to itself', () => {
  const { body, headers } = writeJsonError(new Error('password is hush'), 1_000);
  expect(body).not.toContain('hush');
  expect(headers?.get('Perkey-Error-Code')).toBe('handler.failed');
  expect(headers?.get('Nats-Service-Error-Code')).toBe('500');
});

test('details that do not fit or have no JSON form are left out', () => {
  const large = writeJsonError(new PerkeyError('input.invalid', 'no', { details: { text: 'x'.repeat(2_000) } }), 1_000);
  expect(JSON.parse(large.body)).toMatchObject({ code: 'input.invalid', details: {} });
  const odd = writeJsonError(new PerkeyError('input.invalid', 'no', { details: { value: 7n } }), 1_000);
  expect(JSON.parse(odd.body)).toMatchObject({ code: 'input.invalid', details: {} });
});
