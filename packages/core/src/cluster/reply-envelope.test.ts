import fc from 'fast-check';
import { pack } from 'msgpackr';
import { expect, test } from 'vitest';
import { Decoder } from '../base/decoder.ts';
import { Encoder } from '../base/encoder.ts';
import { errorCatalogue, PerkeyError } from '../base/errors.ts';
import type { ErrorCode, Executed } from '../base/errors.ts';
import { frameKind, writeFrameHeader } from './frame.ts';
import { ReplyReader, replyPrefixBytes, writeError, writeOk } from './reply-envelope.ts';

const decoder = new Decoder();

function read(write: (encoder: Encoder) => void): ReplyReader {
  const encoder = new Encoder();
  encoder.open(64);
  writeFrameHeader(encoder, frameKind.reply);
  write(encoder);
  const reader = new ReplyReader(encoder.take(), decoder);
  expect(reader.next()).toBe(true);
  return reader;
}

function readBody(verdict: number, body: Uint8Array): ReplyReader {
  return read((encoder) => {
    encoder.u32(replyPrefixBytes + body.length);
    encoder.u32(5);
    encoder.u8(verdict);
    encoder.raw(body);
  });
}

test('a value arrives as it was returned', () => {
  for (const value of [undefined, null, 0, { counter_id: 'x', value: 7 }, [1n, new Date(3)], 'x'.repeat(100_000)]) {
    const reader = read((encoder) => writeOk(encoder, 77, value));
    expect([reader.id, reader.ok]).toEqual([77, true]);
    expect(reader.value()).toEqual(value);
  }
});

test('an error arrives whole, without stack and cause', () => {
  const parts = fc.record({
    code: fc.constantFrom(...(Object.keys(errorCatalogue) as ErrorCode[])),
    message: fc.string({ unit: 'grapheme' }),
    executed: fc.constantFrom<Executed>('no', 'yes', 'unknown'),
    details: fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), fc.oneof(fc.integer(), fc.string({ unit: 'grapheme' })), {
      noNullPrototype: true,
    }),
    retryAfterMs: fc.option(fc.nat(), { nil: undefined }),
  });
  fc.assert(
    fc.property(parts, ({ code, message, executed, details, retryAfterMs }) => {
      const options = { executed, details, cause: new Error('secret'), ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
      const reader = read((encoder) => writeError(encoder, 3, new PerkeyError(code, message, options)));
      expect(reader.ok).toBe(false);
      const error = reader.error();
      expect(error).toBeInstanceOf(PerkeyError);
      expect([error.code, error.executed, error.details, error.retryAfterMs]).toEqual([code, executed, details, retryAfterMs]);
      expect(error.message).toBe(message);
      expect(error.cause).toBeUndefined();
      expect(error.stack).not.toContain('\n    at ');
    }),
  );
});

test('making an error of a reply leaves the stacks of other errors alone', () => {
  read((encoder) => writeError(encoder, 3, new PerkeyError('shard.moved', 'moved'))).error();
  expect(new Error('here').stack).toContain('reply-envelope.test');
});

test.each([
  [0, 'no', 'request.refused'],
  [1, 'yes', 'handler.failed'],
  [2, 'unknown', 'deadline.exceeded'],
])('a code that this version does not know keeps its verdict %i', (number, executed, code) => {
  const error = readBody(1, pack(['store.melted', 'it melted', number, { degrees: 900 }, 50])).error();
  expect(error).toMatchObject({ code, executed, message: 'it melted', retryAfterMs: 50 });
  expect(error.details).toEqual({ degrees: 900, unknownCode: 'store.melted' });
});

test('names of the prototype are not codes', () => {
  expect(readBody(1, pack(['toString', 'x', 0])).error()).toMatchObject({ code: 'request.refused', details: { unknownCode: 'toString' } });
});

test.each([
  ['an unknown verdict', 2, pack(1)],
  ['a body that is no list', 1, pack({ code: 'handler.failed' })],
  ['a code that is no text', 1, pack([5, 'x', 0])],
  ['a message that is no text', 1, pack(['handler.failed', null, 0])],
  ['a verdict out of range', 1, pack(['handler.failed', 'x', 3])],
  ['a verdict that is no number', 1, pack(['handler.failed', 'x', 'length'])],
  ['a body that ends early', 1, pack(['handler.failed', 'x', 0]).subarray(0, 5)],
  ['no body', 1, new Uint8Array(0)],
])('an error with %s is a malformed reply, of unknown outcome', (_what, verdict, body) => {
  const error = readBody(verdict, body).error();
  expect(error).toMatchObject({ code: 'reply.malformed', executed: 'unknown' });
});

test('odd details and hints are left out', () => {
  expect(readBody(1, pack(['mailbox.full', 'x', 0, [1], 'soon'])).error()).toMatchObject({ details: {}, retryAfterMs: undefined });
  for (const hint of [-1, NaN, Infinity]) {
    expect(readBody(1, pack(['mailbox.full', 'x', 0, null, hint])).error()).toMatchObject({ details: {}, retryAfterMs: undefined });
  }
});

test('an error that a peer encodes as an object of a class is not decoded', () => {
  const reader = readBody(0, Uint8Array.from([0xd4, 0x65, 0x00, 0x93, 0xa1, 0x78, 0xa1, 0x79, 0xc0]));
  expect(() => reader.value()).toThrow('The reply could not be read');
});

test('a value cut anywhere is a malformed reply', () => {
  const body = pack({ counter_id: 'my-counter', value: 12_345 });
  for (let end = 0; end < body.length; end += 1) {
    const reader = readBody(0, body.subarray(0, end));
    expect(() => reader.value()).toThrow('The reply could not be read');
  }
});
