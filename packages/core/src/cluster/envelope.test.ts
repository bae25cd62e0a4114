import fc from 'fast-check';
import { pack } from 'msgpackr';
import { expect, test } from 'vitest';
import { Decoder } from '../base/decoder.ts';
import { Encoder } from '../base/encoder.ts';
import { PerkeyError } from '../base/errors.ts';
import { fromAnyone, noChain, noHeaders } from '../contract/calls.ts';
import type { InboundRequest } from '../contract/calls.ts';
import { inputOfTail, requestFlag, requestPrefixBytes, RequestReader, RequestTailEncoder, writeRequest } from './envelope.ts';
import { frameKind, writeFrameHeader } from './frame.ts';

const port = { ok: (): void => {}, error: (): void => {} };
const decoder = new Decoder();
const tails = new RequestTailEncoder(100_000);
const simple = tails.encode('counter', 'k', 'get', undefined, undefined, undefined, undefined, '');

interface Prefix {
  readonly id?: number;
  readonly shard?: number;
  readonly flags?: number;
  readonly epoch?: number;
  readonly remainingMs?: number;
}

function frameOf(...envelopes: (readonly [Prefix, Uint8Array])[]): Uint8Array {
  const encoder = new Encoder();
  encoder.open(64);
  writeFrameHeader(encoder, frameKind.request);
  for (const [{ id = 1, shard = 2, flags = 0, epoch = 3, remainingMs = 4 }, tail] of envelopes) {
    writeRequest(encoder, id, shard, flags, epoch, remainingMs, tail);
  }
  return encoder.take();
}

function only(prefix: Prefix, tail: Uint8Array): RequestReader {
  const reader = new RequestReader(frameOf([prefix, tail]), decoder);
  expect(reader.next()).toBe(true);
  return reader;
}

function refusal(run: () => unknown): PerkeyError {
  try {
    run();
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(PerkeyError);
    return thrown as PerkeyError;
  }
  throw new Error('was not refused');
}

const text = fc.string({ unit: 'grapheme', maxLength: 60 });
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined });

test('a request arrives as it was sent, whatever parts of it there are', () => {
  const parts = fc.record({
    ...{
      type: text,
      key: text,
      method: text,
      caller: text,
      id: fc.nat(2 ** 32 - 1),
      shard: fc.nat(2 ** 16 - 1),
      epoch: fc.maxSafeInteger(),
    },
    input: maybe(fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value).replaceAll('__proto__', 'proto')) as unknown)),
    headers: maybe(fc.dictionary(fc.stringMatching(/^[a-z]{1,12}$/), text, { noNullPrototype: true })),
    chain: maybe(fc.array(text, { maxLength: 5 })),
    idempotencyKey: maybe(text),
    ...{ notify: fc.boolean(), remainingMs: fc.nat(2 ** 32 - 1) },
  });
  fc.assert(
    fc.property(parts, (sent) => {
      const { type, key, method, input, headers, chain, idempotencyKey, caller, ...prefix } = sent;
      const tail = tails.encode(type, key, method, input, headers, chain, idempotencyKey, caller);
      const source = fromAnyone;
      const flags = sent.notify ? requestFlag.notify : 0;
      const reader = only({ ...prefix, flags }, tail);
      expect([reader.id, reader.shard, reader.flags, reader.notify, reader.epoch, reader.remainingMs]).toEqual([
        ...[sent.id, sent.shard, flags, sent.notify, sent.epoch, sent.remainingMs],
      ]);
      const expected: InboundRequest = {
        ...{ id: sent.id, type, key, method, input, caller, source, idempotencyKey, deadline: 17, reply: port },
        ...{ headers: headers ?? noHeaders, chain: chain ?? noChain },
      };
      expect(reader.request(17, port)).toStrictEqual(expected);
      expect(inputOfTail(tail)).toStrictEqual(input);
    }),
    { numRuns: 500 },
  );
});

test('a request without extras is small', () => {
  expect(simple.length).toBe(1 + 8 + 2 + 4);
  expect(frameOf([{}, simple]).length).toBe(4 + requestPrefixBytes + simple.length);
});

test('a request is sent again with another prefix and the same tail', () => {
  const tail = tails.encode('counter', 'k', 'increment', { amount: 5 }, undefined, undefined, 'once', '');
  const before = tail.slice();
  const first = only({ id: 1, epoch: 10, remainingMs: 3_000 }, tail);
  const second = only({ id: 2, epoch: 11, remainingMs: 1_500 }, tail);
  expect(tail).toEqual(before);
  expect(first.request(0, port)).toEqual({ ...second.request(0, port), id: 1 });
  expect([second.id, second.epoch, second.remainingMs]).toEqual([2, 11, 1_500]);
});

test('time that is left is whole milliseconds, never negative and never more than fits', () => {
  const remaining = (ms: number): number => only({ remainingMs: ms }, simple).remainingMs;
  expect([remaining(1.9), remaining(0), remaining(-5), remaining(Number.NaN)]).toEqual([1, 0, 0, 0]);
  expect([remaining(2 ** 40), remaining(Infinity), remaining(2 ** 32 - 1)]).toEqual([2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 1]);
});

test('the input is encoded when the request is made, not when it is sent', () => {
  const input = { list: [1] };
  const tail = tails.encode('a', 'k', 'm', input, undefined, undefined, undefined, '');
  input.list.push(2);
  tails.encode('other', 'key', 'method', 'something else'.repeat(20), undefined, undefined, undefined, '');
  expect(inputOfTail(tail)).toEqual({ list: [1] });
});

test('an accessor that makes another request in the middle spoils neither', () => {
  let inner: Uint8Array | undefined;
  const input = {
    before: 1,
    get nested(): number {
      inner = tails.encode('inner', 'k', 'm', { text: 'x'.repeat(2_000) }, undefined, undefined, undefined, '');
      return 2;
    },
    after: 3,
  };
  const outer = tails.encode('outer', 'k', 'm', input, undefined, undefined, undefined, '');
  expect(inputOfTail(outer)).toEqual({ before: 1, nested: 2, after: 3 });
  expect(inputOfTail(inner!)).toEqual({ text: 'x'.repeat(2_000) });
});

test('what cannot travel, or is too large, is refused and leaves the encoder usable', () => {
  const small = new RequestTailEncoder(1_000);
  const encode = (input: unknown): Uint8Array => small.encode('a', 'k', 'm', input, undefined, undefined, undefined, '');
  expect(refusal(() => encode({ done: () => 1 })).code).toBe('payload.not_plain');
  const error = refusal(() => encode('x'.repeat(995)));
  expect(error.code).toBe('payload.too_large');
  expect(error.details).toEqual({ bytes: 1 + 2 + 2 + 2 + 3 + 995, bytesMax: 1_000 });
  expect(refusal(() => encode('x'.repeat(1_000_000))).code).toBe('payload.too_large');
  expect(refusal(() => encode({ done: () => 1 })).message).toBe('input of a.m: value.done is a function, which cannot travel.');
  const fits = 'a call of a.m does not fit into the 1000 bytes that a request may have (payloadBytesMax)';
  expect([error.message, refusal(() => encode('x'.repeat(1_000_000))).message]).toEqual([fits, fits]);
  expect(inputOfTail(encode('x'.repeat(990)))).toBe('x'.repeat(990));
});

test('an unknown optional flag is ignored, an unknown critical one is refused', () => {
  expect(only({ flags: 0x00fe }, simple).request(0, port).type).toBe('counter');
  const error = refusal(() => only({ flags: 0x4001 }, simple).request(0, port));
  expect(error.code).toBe('protocol.unsupported');
  expect(error.details).toEqual({ flags: 0x4000, known: 0 });
});

test('parts that a newer version added at the end are ignored, though not in any number', () => {
  const tail = (extra: number): Uint8Array =>
    pack(['t', 'k', 'm', 1, null, null, null, 'me', null, ...Array.from({ length: extra }, () => ({ more: 1 }))]);
  expect(only({}, tail(7)).request(0, port)).toMatchObject({ type: 't', input: 1, caller: 'me' });
  expect(refusal(() => only({}, tail(8)).request(0, port)).code).toBe('request.malformed');
});

test.each([
  ['no array', 5],
  ['too few parts', ['t', 'k']],
  ['a type that is no text', [1, 'k', 'm']],
  ['a key that is no text', ['t', null, 'm']],
  ['a method that is no text', ['t', 'k', { a: 1 }]],
  ['headers that are a list', ['t', 'k', 'm', 1, ['a']]],
  ['headers that are a text', ['t', 'k', 'm', 1, 'a']],
  ['a header that is no text', ['t', 'k', 'm', 1, { a: 1 }]],
  ['a chain that is an object', ['t', 'k', 'm', 1, null, { a: 'b' }]],
  ['a chain of numbers', ['t', 'k', 'm', 1, null, [1]]],
  ['an idempotency key that is no text', ['t', 'k', 'm', 1, null, null, 7]],
  ['a caller that is no text', ['t', 'k', 'm', 1, null, null, null, 7]],
  ['somebody on whose behalf who is no text', ['t', 'k', 'm', 1, null, null, null, '', 7]],
])('a tail with %s is malformed', (_what, tail) => {
  const error = refusal(() => only({}, pack(tail)).request(0, port));
  expect(error.code).toBe('request.malformed');
  expect(error.executed).toBe('no');
});

test('a malformed envelope costs only itself', () => {
  const good = tails.encode('counter', 'k', 'get', { a: 1 }, undefined, undefined, undefined, '');
  const reader = new RequestReader(frameOf([{ id: 1 }, good], [{ id: 2 }, Uint8Array.from([0xc1, 0xff])], [{ id: 3 }, good]), decoder);
  const seen: unknown[] = [];
  while (reader.next()) {
    try {
      seen.push(reader.request(0, port).input);
    } catch (thrown) {
      seen.push([reader.id, (thrown as PerkeyError).code]);
    }
  }
  expect(seen).toEqual([{ a: 1 }, [2, 'request.malformed'], { a: 1 }]);
  expect(reader.truncated).toBe(false);
});

test('the prefix is read where the tail cannot be', () => {
  const reader = only({ id: 9, shard: 8, epoch: 7, remainingMs: 6 }, Uint8Array.from([0xc1]));
  expect([reader.id, reader.shard, reader.epoch, reader.remainingMs]).toEqual([9, 8, 7, 6]);
});

test('of a frame cut anywhere, whole envelopes are read and the rest is told', () => {
  const tail = tails.encode('counter', 'k', 'increment', { amount: 5 }, { traceparent: 'x' }, ['a/b'], 'once', 'me');
  const frame = frameOf([{ id: 1 }, tail], [{ id: 2 }, tail], [{ id: 3 }, tail]);
  const size = requestPrefixBytes + tail.length;
  for (let end = 4; end < frame.length; end += 1) {
    const reader = new RequestReader(frame.slice(0, end), decoder);
    let count = 0;
    while (reader.next()) {
      count += 1;
      expect(reader.request(0, port)).toMatchObject({ id: count, input: { amount: 5 }, caller: 'me' });
    }
    expect(count).toBe(Math.floor((end - 4) / size));
    expect(reader.truncated).toBe((end - 4) % size !== 0);
  }
});

test('random changes of a frame give requests or refusals, never anything else', () => {
  const tail = tails.encode(
    'counter',
    'my-counter',
    'increment',
    { amount: 5, list: [1, 'two'] },
    { traceparent: 'x' },
    ['a/b'],
    'once',
    'me',
  );
  const frame = frameOf([{ id: 1 }, tail], [{ id: 2 }, simple], [{ id: 3 }, tail]);
  let state = 7;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % below;
  };
  const counts = { good: 0, refused: 0, truncated: 0 };
  for (let i = 0; i < 100_000; i += 1) {
    const bytes = frame.slice(0, i % 4 === 0 ? 4 + random(frame.length - 4) : frame.length);
    for (let changes = random(4); changes >= 0; changes -= 1) bytes[4 + random(frame.length - 4)] = random(256);
    const reader = new RequestReader(bytes, decoder);
    while (reader.next()) {
      try {
        reader.request(0, port);
        counts.good += 1;
      } catch (thrown) {
        if (!(thrown instanceof PerkeyError)) throw thrown;
        counts.refused += 1;
      }
    }
    if (reader.truncated) counts.truncated += 1;
  }
  expect(Math.min(counts.good, counts.refused, counts.truncated)).toBeGreaterThan(1_000);
});
