import type { Random } from '@perkey/core';
import { anyJson, anyText, below, marker, pick } from './corpus.ts';

export interface JsonCall {
  readonly subject: string;
  readonly body: string | Uint8Array;
  readonly headers: readonly (readonly [string, string])[];
}

const token = /^[A-Za-z0-9_-]{1,64}$/;
const lineBreaks = /[\r\n]/g;

/** A call in JSON; its subject names a type that is there, so that somebody answers. */
export function jsonCall(random: Random, prefix: string): JsonCall {
  const method = pick(random, ['get', 'put', 'echo', 'nope', 'constructor', '__proto__', anyText(random)]);
  const subject = `${prefix}.call.box.${token.test(method) ? method : 'echo'}${random.next() < 0.1 ? '.mallory' : ''}`;
  const headers: [string, string][] = [];
  const mark = (name: string, chance: number, value: string): void => {
    if (random.next() < chance) headers.push([name, value.replace(lineBreaks, ' ')]);
  };
  mark('Perkey-Key', 0.6, random.next() < 0.5 ? `key-${below(random, 50)}` : anyText(random));
  mark('Perkey-Timeout-Ms', 0.2, pick(random, ['1000', '0', '-1', '1e3', '99999999', anyText(random)]));
  mark('Idempotency-Key', 0.2, pick(random, ['once', anyText(random)]));
  mark('traceparent', 0.2, anyText(random));
  mark('Nats-Rollup', 0.05, 'all');
  mark('Nats-Expected-Last-Sequence', 0.05, '0');
  const kind = random.next();
  const body = kind < 0.3 ? JSON.stringify({ key: anyText(random), input: marker }) : kind < 0.97 ? anyJson(random) : bytes(random);
  return { subject, body, headers };
}

function bytes(random: Random): Uint8Array {
  return Uint8Array.from({ length: below(random, 300) }, () => below(random, 256));
}

export interface HttpAttempt {
  /** As it goes over the wire. Undefined where the parts are given. */
  readonly raw?: Buffer;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const heads = [
  'GET /counter/a HTTP/1.1',
  'POST /counter/a/increment HTTP/1.1',
  'GET / HTTP/9.9',
  'FOO / HTTP/1.1',
  'GET  HTTP/1.1',
  marker,
];
const lines = [
  ...[
    'Content-Length: 5',
    'Content-Length: -1',
    'Content-Length: 99999999999',
    'Transfer-Encoding: chunked',
    'Transfer-Encoding: xchunked',
  ],
  ...[
    'Host: x',
    'Host',
    ': x',
    'X:\u0000',
    ' folded',
    'Expect: 100-continue',
    'Upgrade: h2c',
    'Connection: Upgrade',
    `X: ${'y'.repeat(20_000)}`,
  ],
];

function rawRequest(random: Random): Buffer {
  const end = pick(random, ['\r\n', '\r\n', '\n', '\r']);
  const chosen = [pick(random, heads), 'Connection: close', ...Array.from({ length: below(random, 4) }, () => pick(random, lines))];
  const text = chosen.join(end) + end + end + (random.next() < 0.5 ? anyJson(random) : '');
  const whole = Buffer.from(random.next() < 0.7 ? text : anyText(random) + text.slice(below(random, text.length)));
  for (let hits = below(random, 3); hits > 0 && whole.length > 0; hits -= 1) whole[below(random, whole.length)] = below(random, 256);
  return whole;
}

const escaped = (text: string): string => (text.isWellFormed() ? encodeURIComponent(text) : '%ED%A0%80');
const printable = (text: string): string => text.replace(/[^\x20-\x7e]/g, '?').trim();

export function httpAttempt(random: Random): HttpAttempt {
  const path = pick(random, [
    () => `/counter/${escaped(anyText(random))}/increment`,
    () => `/counter/${escaped(anyText(random))}`,
    () => `/${printable(anyText(random)).replaceAll(' ', '%20')}`,
    () => `/counter/id-${below(random, 50)}/increment?${escaped(anyText(random))}`,
    () => `/counter/%${pick(random, ['', 'z', 'ff', 'c3', '00', 'ed%a0%80'])}`,
  ])();
  const headers: Record<string, string> = {};
  if (random.next() < 0.2) headers['idempotency-key'] = printable(anyText(random)).slice(0, 500);
  if (random.next() < 0.2)
    headers['x-request-timeout-ms'] = pick(random, ['1', '0', '-1', '1e9', '5000', printable(anyText(random)).slice(0, 20)]);
  if (random.next() < 0.2) headers['content-type'] = printable(anyText(random)).slice(0, 100);
  if (random.next() < 0.1) headers['traceparent'] = printable(anyText(random)).slice(0, 100);
  const method = pick(random, ['GET', 'POST', 'POST', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PROPFIND']);
  const body = method === 'GET' ? '' : random.next() < 0.01 ? 'x'.repeat(70_000) : anyJson(random);
  return { method, path, headers, body, ...(random.next() < 0.05 && { raw: rawRequest(random) }) };
}
