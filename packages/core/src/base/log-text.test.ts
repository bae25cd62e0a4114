import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Clock } from './clock.ts';
import { LogLimiter, safeText } from './log-text.ts';

// What must never reach a terminal or a line-based log reader.
const unsafe = /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2069\ufeff]/;

test.each([
  ['plain text as it is', 'counter/bench-1', 'counter/bench-1'],
  ['nothing', '', ''],
  ['other scripts and emoji', 'żółw 東京 👩‍🚀', 'żółw 東京 👩‍🚀'],
  ['line breaks and tabs', 'a\r\nb\tc', 'a\\r\\nb\\tc'],
  ['an ANSI escape', '\u001b[31mred\u001b[0m', '\\u001b[31mred\\u001b[0m'],
  ['a one-byte CSI', '\u009b31m', '\\u009b31m'],
  ['NUL and DEL', '\u0000\u007f', '\\u0000\\u007f'],
  ['line separators', 'a\u2028b\u2029c', 'a\\u2028b\\u2029c'],
  ['bidirectional controls', 'a\u202egnp.exe\u2066\u061c', 'a\\u202egnp.exe\\u2066\\u061c'],
  ['invisible tags', 'x\u{e0041}', 'x\\u{e0041}'],
  ['lone surrogates', 'a\ud800b\udfff', 'a\ufffdb\ufffd'],
  ['numbers', 12.5, '12.5'],
  ['nothing given', undefined, 'undefined'],
  ['null', null, 'null'],
  ['a symbol', Symbol('s'), 'Symbol(s)'],
  ['an error', new Error('broken\npipe'), 'broken\\npipe'],
  ['an array', ['secret', 2], '[array of 2]'],
  ['an object', { password: 'x' }, '[object]'],
  ['a function', () => 1, '[function]'],
])('%s', (_, value, shown) => {
  expect(safeText(value)).toBe(shown);
});

test('cuts at 256 bytes with an ellipsis, between characters and never inside an escape', () => {
  expect(safeText('a'.repeat(256))).toBe('a'.repeat(256));
  expect(safeText('a'.repeat(257))).toBe(`${'a'.repeat(253)}…`);
  expect(safeText('é'.repeat(128))).toBe('é'.repeat(128));
  expect(safeText('é'.repeat(129))).toBe(`${'é'.repeat(126)}…`);
  expect(safeText('👍'.repeat(65))).toBe(`${'👍'.repeat(63)}…`);
  expect(safeText('\u0007'.repeat(100), 20)).toBe('\\u0007\\u0007…');
  expect(safeText('abcdef', 3)).toBe('…');
});

test('runs no code of the value', () => {
  const fail = (): never => {
    throw new Error('was called');
  };
  expect(safeText({ toString: fail, toJSON: fail, [Symbol.toPrimitive]: fail })).toBe('[object]');
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  expect(safeText(proxy)).toBe('[object]');
});

test('whatever the text: within the limit, well formed, no unsafe character', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 400 }), fc.integer({ min: 3, max: 300 }), (text, bytesMax) => {
      const shown = safeText(text, bytesMax);
      expect(Buffer.byteLength(shown)).toBeLessThanOrEqual(bytesMax);
      expect(shown.isWellFormed()).toBe(true);
      expect(shown).not.toMatch(unsafe);
    }),
  );
});

function handClock(): { readonly clock: Clock; advance(ms: number): void } {
  let now = 5_000;
  const never = (): never => {
    throw new Error('not for this test');
  };
  return { clock: { now: () => now, wall: never, setTimer: never, defer: never }, advance: (ms) => (now += ms) };
}

test('ten lines of a cause at once, then one each six seconds, with what was left out between', () => {
  const { clock, advance } = handClock();
  const limiter = new LogLimiter(clock);
  for (let n = 0; n < 10; n += 1) expect(limiter.allow('frame.malformed')).toBe(0);
  for (let n = 0; n < 7; n += 1) expect(limiter.allow('frame.malformed')).toBeUndefined();
  expect(limiter.allow('other')).toBe(0);
  advance(5_999);
  expect(limiter.allow('frame.malformed')).toBeUndefined();
  advance(1);
  expect(limiter.allow('frame.malformed')).toBe(8);
  expect(limiter.allow('frame.malformed')).toBeUndefined();
  advance(600_000);
  expect(limiter.allow('frame.malformed')).toBe(1);
  for (let n = 0; n < 9; n += 1) expect(limiter.allow('frame.malformed')).toBe(0);
  expect(limiter.allow('frame.malformed')).toBeUndefined();
});

test('causes beyond the limit share one allowance, until old ones were idle for a minute', () => {
  const { clock, advance } = handClock();
  const limiter = new LogLimiter(clock, 2, 3);
  for (const cause of ['a', 'b', 'c']) expect(limiter.allow(cause)).toBe(0);
  expect(limiter.allow('d')).toBe(0);
  expect(limiter.allow('e')).toBe(0);
  for (let n = 0; n < 1_000; n += 1) expect(limiter.allow(`made-up-${n}`)).toBeUndefined();
  expect(limiter.allow('a')).toBe(0);
  advance(60_000);
  expect(limiter.allow('d')).toBe(0);
  expect(limiter.allow('d')).toBe(0);
  expect(limiter.allow('d')).toBeUndefined();
});
