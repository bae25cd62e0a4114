import fc from 'fast-check';
import { Packr, unpack } from 'msgpackr';
import { expect, test } from 'vitest';
import { decode, encode } from './codec.ts';
import { defaultCodecLimits } from './codec-limits.ts';
import { Decoder } from './decoder.ts';
import { PerkeyError } from './errors.ts';

/** Another implementation of the same format, which must understand what ours writes and the other way round. */
const packr = new Packr({ useRecords: false, mapsAsObjects: true, moreTypes: false, structuredClone: false, useBigIntExtension: true });

const name = fc.oneof(fc.string({ unit: 'binary', maxLength: 40 }), fc.string({ maxLength: 12 })).filter((text) => text !== '__proto__');
const leaf = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.string({ maxLength: 50 }),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double(),
  fc.boolean(),
  fc.constantFrom(
    null,
    undefined,
    0,
    -0,
    -1,
    127,
    128,
    255,
    256,
    65_535,
    65_536,
    2 ** 32 - 1,
    2 ** 32,
    -32,
    -33,
    -(2 ** 31),
    -(2 ** 31) - 1,
  ),
  fc.bigInt({ min: -(2n ** 200n), max: 2n ** 200n }),
  fc.constantFrom(2n ** 63n - 1n, 2n ** 63n, -(2n ** 63n), -(2n ** 63n) - 1n, 2n ** 64n - 1n, 2n ** 64n, -128n, 0n),
  fc.date({ noInvalidDate: false }),
  fc.constantFrom(-1, 0, 999, 1_000, 2 ** 32 * 1000, 2 ** 34 * 1000, 8.64e15, -8.64e15).map((ms) => new Date(ms)),
  fc.uint8Array({ maxLength: 300 }),
);
const { plain } = fc.letrec<{ plain: unknown }>((tie) => ({
  plain: fc.oneof(
    { maxDepth: 6 },
    { arbitrary: leaf, weight: 4 },
    { arbitrary: fc.array(tie('plain'), { maxLength: 20 }), weight: 1 },
    { arbitrary: fc.dictionary(name, tie('plain'), { maxKeys: 20 }), weight: 1 },
  ),
}));

function refusal(run: () => unknown): PerkeyError {
  try {
    run();
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(PerkeyError);
    return thrown as PerkeyError;
  }
  throw new Error('was not refused');
}

const bytesOf = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes);
const malformed = (bytes: Uint8Array): void => {
  expect(refusal(() => decode(bytes)).code).toBe('request.malformed');
};

test('what was encoded is decoded to the same, with and without caches', () => {
  const decoder = new Decoder();
  fc.assert(
    fc.property(plain, (value) => {
      const bytes = encode(value);
      expect(decode(bytes)).toStrictEqual(toWire(value));
      expect(decoder.only(bytes, 0, bytes.length)).toStrictEqual(toWire(value));
      expect(decoder.only(bytes, 0, bytes.length)).toStrictEqual(toWire(value));
    }),
    { numRuns: 500 },
  );
});

/** `fc.dictionary` makes objects without a prototype; what is decoded has the usual one. */
function toWire(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toWire);
  if (typeof value !== 'object' || value === null || value instanceof Date || value instanceof Uint8Array) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, toWire(item)]));
}

test('another implementation reads what this one writes, and the other way round', () => {
  fc.assert(
    fc.property(plain, (value) => {
      expect(asPlainBytes(unpack(encode(value)))).toEqual(toWire(value));
      const written = packr.pack(value);
      expect(decode(written)).toEqual(asPlainBytes(unpack(written)));
    }),
    { numRuns: 500 },
  );
});

/** The peer gives a Buffer for bytes. */
function asPlainBytes(value: unknown): unknown {
  if (value instanceof Uint8Array) return new Uint8Array(value);
  if (Array.isArray(value)) return value.map(asPlainBytes);
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, asPlainBytes(item)]));
}

test('a value between other bytes is decoded from its own bytes only', () => {
  const bytes = encode({ a: 'text', b: [1, 2.5] });
  const padded = new Uint8Array(bytes.length + 20).fill(0xc1);
  padded.set(bytes, 7);
  expect(decode(padded, 7, 7 + bytes.length)).toEqual({ a: 'text', b: [1, 2.5] });
  for (let end = 7; end < 7 + bytes.length; end += 1) expect(refusal(() => decode(padded, 7, end)).code).toBe('request.malformed');
});

test('what was decoded does not change with the bytes', () => {
  const bytes = encode({ text: 'abcdef', binary: bytesOf(1, 2, 3) });
  const value = decode(bytes);
  bytes.fill(0);
  expect(value).toEqual({ text: 'abcdef', binary: bytesOf(1, 2, 3) });
});

test('minus zero, NaN and numbers of every size keep their value', () => {
  for (const number of [-0, NaN, Infinity, -Infinity, 5e-324, 2 ** 53 + 2, -(2 ** 40), 0.1]) expect(decode(encode(number))).toBe(number);
});

test('unpaired surrogates arrive as replacement characters', () => {
  expect(decode(encode('a\ud800b'))).toBe('a\ufffdb');
  expect(decode(encode({ ['\udfff']: `${'x'.repeat(100)}\ud800` }))).toEqual({ '\ufffd': `${'x'.repeat(100)}\ufffd` });
});

class Money {
  readonly cents = 5;
}

test.each([
  ['a function', { list: [() => 1] }, 'value.list[0] is a function'],
  ['a symbol', { odd: { 'two words': Symbol('x') } }, 'value.odd["two words"] is a symbol'],
  ['an instance', { price: new Money() }, 'value.price is an instance of Money'],
  ['a map', [new Map()], 'value[0] is an instance of Map'],
  ['a set', new Set(), 'value is an instance of Set'],
  ['an error', { error: new Error('x') }, 'value.error is an instance of Error'],
  ['a regular expression', /x/, 'value is an instance of RegExp'],
  ['another typed array', new Float64Array(1), 'value is an instance of Float64Array'],
  ['an array subclass', new (class List extends Array {})(), 'value is an instance of List'],
  ['a date subclass', new (class Day extends Date {})(), 'value is an instance of Day'],
  ['a promise', { later: Promise.resolve() }, 'value.later is an instance of Promise'],
  ['its prototype as a property', JSON.parse('{"a":{"__proto__":{"admin":true}}}'), 'value.a.__proto__ is a property name'],
  ['a huge bigint', { n: 1n << 9_000n }, 'value.n is a bigint of more than 1024 bytes'],
])('%s is refused with its path', (_what, value, message) => {
  const error = refusal(() => encode(value));
  expect(error.code).toBe('payload.not_plain');
  expect(error.message).toContain(message);
  expect(error.executed).toBe('no');
});

test('cycles are refused, the same object twice is not', () => {
  const loop: { next?: unknown; others: unknown[] } = { others: [] };
  loop.next = [{ loop }];
  expect(refusal(() => encode(loop)).message).toContain('value.next[0].loop is a cycle');
  const wide: unknown[] = [];
  wide.push(wide, wide, wide);
  expect(refusal(() => encode(wide)).code).toBe('payload.not_plain');
  const shared = { a: 1 };
  expect(decode(encode([shared, shared]))).toEqual([shared, shared]);
});

test('an accessor that throws makes the value unfit to travel, and its error the cause', () => {
  const cause = new Error('no');
  const value = {
    get broken(): never {
      throw cause;
    },
  };
  const error = refusal(() => encode(value));
  expect(error.code).toBe('payload.not_plain');
  expect(error.cause).toBe(cause);
});

test('objects without a prototype and of another realm are plain', () => {
  expect(decode(encode(Object.assign(Object.create(null), { a: 1 })))).toStrictEqual({ a: 1 });
  expect(
    decode(encode(Object.create(Object.create(null, { isPrototypeOf: { value: 0 } }), { b: { value: 2, enumerable: true } }))),
  ).toEqual({
    b: 2,
  });
});

const nested = (levels: number): unknown => {
  let value: unknown = 1;
  for (let i = 0; i < levels; i += 1) value = i % 2 === 0 ? [value] : { a: value };
  return value;
};

test('the limits are the same on both sides', () => {
  const { depthMax, nodesMax } = defaultCodecLimits;
  expect(decode(encode(nested(depthMax)))).toEqual(nested(depthMax));
  expect(refusal(() => encode(nested(depthMax + 1))).message).toContain(`lies deeper than ${depthMax} levels`);
  malformed(packr.pack(nested(depthMax + 1)));
  const wide = new Array<number>(nodesMax).fill(1);
  expect(decode(encode(wide))).toEqual(wide);
  expect(refusal(() => encode([...wide, 1])).code).toBe('payload.too_large');
  malformed(packr.pack([...wide, 1]));
  const split = [new Array<number>(nodesMax / 2).fill(1), new Array<number>(nodesMax / 2).fill(1)];
  expect(refusal(() => encode(split)).code).toBe('payload.too_large');
  malformed(packr.pack(split));
  expect(decode(encode(wide, { ...defaultCodecLimits, nodesMax: nodesMax }), 0, undefined, { ...defaultCodecLimits, nodesMax })).toEqual(
    wide,
  );
});

test('every truncation is refused, and so is every byte too many', () => {
  const value = {
    ...{
      text: 'short',
      long: 'x'.repeat(300),
      unicode: 'häß😀',
      int: 70_000,
      negative: -70_000,
      float: 1.5,
      big: 2n ** 70n,
      bigger: 2n ** 63n,
    },
    ...{
      date: new Date(1),
      old: new Date(-1),
      bytes: new Uint8Array(300),
      list: [null, true, false, undefined],
      seventeen: new Array(17).fill(0),
    },
  };
  const bytes = encode(value);
  expect(decode(bytes)).toEqual(value);
  for (let end = 0; end < bytes.length; end += 1) {
    malformed(bytes.slice(0, end));
    expect(refusal(() => decode(bytes, 0, end)).code).toBe('request.malformed');
  }
  malformed(Uint8Array.from([...bytes, 0xc0]));
});

test('random changes of good bytes are decoded or refused, never anything else, and quickly', () => {
  const decoder = new Decoder();
  const seeds = [
    ['counter', 'my-counter', 'increment', { amount: 5 }, { traceparent: '00-1-2' }],
    nested(30),
    { a: 2n ** 80n, b: new Date(), c: 'é'.repeat(50) },
  ].map((seed) => encode(seed));
  let decoded = 0;
  let state = 1;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % below;
  };
  const start = performance.now();
  for (let i = 0; i < 100_000; i += 1) {
    const bytes = seeds[i % seeds.length]!.slice();
    for (let changes = random(4); changes >= 0; changes -= 1) bytes[random(bytes.length)] = random(256);
    try {
      decoder.only(bytes, 0, bytes.length - (i % 3));
      decoded += 1;
    } catch (thrown) {
      if (!(thrown instanceof PerkeyError) || thrown.code !== 'request.malformed') throw thrown;
    }
  }
  expect(decoded).toBeGreaterThan(1_000);
  expect(performance.now() - start).toBeLessThan(20_000);
});

test('random bytes are decoded or refused, never anything else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), (bytes) => {
      try {
        decode(bytes);
      } catch (thrown) {
        expect((thrown as PerkeyError).code).toBe('request.malformed');
      }
    }),
    { numRuns: 5_000 },
  );
});

/** Of several runs, since any single one may be interrupted. */
function leastMs(run: () => unknown): number {
  let least = Infinity;
  for (let i = 0; i < 7; i += 1) {
    const start = performance.now();
    run();
    least = Math.min(least, performance.now() - start);
  }
  return least;
}

function filled(length: number, byte: number, ...head: number[]): Uint8Array {
  const bytes = new Uint8Array(length).fill(byte);
  bytes.set(head);
  return bytes;
}

test.each([
  ['deep arrays', filled(1_000_000, 0x91)],
  ['deep objects', filled(1_000_000, 0x81)],
  ['a million empty objects', filled(1_000_000, 0x80, 0xdd, 0x00, 0x0f, 0x42, 0x3b)],
  ['a million empty arrays', filled(1_000_000, 0x90, 0xdd, 0x00, 0x0f, 0x42, 0x3b)],
  ['nested arrays that each claim all that is left', filled(1_000_000, 0xdc)],
  ['an array that claims four billion', filled(1_000_000, 0xc0, 0xdd, 0xff, 0xff, 0xff, 0xff)],
  ['an object that claims four billion', filled(1_000_000, 0xa0, 0xdf, 0xff, 0xff, 0xff, 0xff)],
  ['a text that claims four billion', filled(1_000_000, 0x61, 0xdb, 0xff, 0xff, 0xff, 0xff)],
  ['bytes that claim four billion', filled(1_000_000, 0x00, 0xc6, 0xff, 0xff, 0xff, 0xff)],
  ['an extension that claims four billion', filled(1_000_000, 0x42, 0xc9, 0xff, 0xff, 0xff, 0xff, 0x42)],
  ['a bigint of a megabyte', filled(1_000_000, 0x42, 0xc9, 0x00, 0x0f, 0x42, 0x3a, 0x42)],
  ['a million zeros behind a value', filled(1_000_000, 0x00)],
])('%s are refused before they cost anything', (_what, bytes) => {
  expect(leastMs(() => malformed(bytes))).toBeLessThan(10);
});

test('as many nodes as are allowed are decoded in a few milliseconds, whatever they are', () => {
  const bytes = Uint8Array.from([0xdc, 0x4e, 0x20, ...new Array<number>(20_000).fill(0x80)]);
  expect(decode(bytes)).toHaveLength(20_000);
  expect(leastMs(() => decode(bytes))).toBeLessThan(10);
});

test('only undefined, bigint and timestamp may come as extensions', () => {
  const allowed = new Set([0x00, 0x42, 0xff]);
  for (let type = 0; type < 256; type += 1) {
    if (allowed.has(type)) continue;
    malformed(bytesOf(0xd4, type, 0));
    malformed(bytesOf(0xd5, type, 0x60, 0));
    malformed(bytesOf(0xd6, type, 0, 0, 0, 1));
    malformed(bytesOf(0xd7, type, 0, 0, 0, 0, 0, 0, 0, 0));
    malformed(bytesOf(0xd8, type, ...new Array<number>(16).fill(0)));
    malformed(bytesOf(0xc7, 3, type, 0x90, 0x90, 0x90));
    malformed(bytesOf(0xc8, 0, 1, type, 0x90));
    malformed(bytesOf(0xc9, 0, 0, 0, 1, type, 0x90));
  }
});

test('what the other implementation writes for richer types is refused', () => {
  const rich = new Packr({ moreTypes: true, structuredClone: true });
  const loop: { self?: unknown } = {};
  loop.self = loop;
  for (const value of [new Error('x'), new Set([1]), /x/, new Float32Array(2), loop]) malformed(rich.pack(value));
  malformed(new Packr({ structures: [] }).pack({ a: 1, b: 2 }));
  malformed(new Packr({ bundleStrings: true }).pack(['aaaaaaaa', 'bbbbbbbb']));
});

test('an odd extension length, a lone never-used byte and a name that is no text are refused', () => {
  malformed(bytesOf(0xc1));
  malformed(bytesOf(0xd5, 0x00, 0, 0));
  malformed(bytesOf(0xd5, 0xff, 0, 0));
  malformed(bytesOf(0xc7, 5, 0xff, 0, 0, 0, 0, 0));
  malformed(bytesOf(0xc7, 0, 0x42));
  for (const key of [0x01, 0xc0, 0x90, 0x80, 0xc3]) malformed(bytesOf(0x81, key, 0x01));
  malformed(new Uint8Array(0));
});

test('the name that would change a prototype is refused in all its encodings', () => {
  const letters = [...Buffer.from('__proto__')];
  const value = [0x81, 0xa5, ...Buffer.from('admin'), 0xc3];
  malformed(bytesOf(0x81, 0xa9, ...letters, ...value));
  malformed(bytesOf(0x81, 0xd9, 9, ...letters, ...value));
  malformed(bytesOf(0x81, 0xda, 0, 9, ...letters, ...value));
  malformed(bytesOf(0x81, 0xdb, 0, 0, 0, 9, ...letters, ...value));
  expect(({} as { admin?: boolean }).admin).toBeUndefined();
  expect(decode(bytesOf(0x82, 0xab, ...Buffer.from('constructor'), 0x01, 0xa8, ...Buffer.from('toString'), 0x02))).toEqual({
    constructor: 1,
    toString: 2,
  });
});

test('an error says nothing of the content and carries no stack', () => {
  const bytes = bytesOf(0x81, 0xa6, ...Buffer.from('secret'), 0xc1);
  const error = refusal(() => decode(bytes));
  expect(error.message).not.toContain('secret');
  expect(error.stack).not.toContain('\n    at ');
});
