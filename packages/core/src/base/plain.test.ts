import vm from 'node:vm';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decode, encode } from './codec.ts';
import { PerkeyError } from './errors.ts';
import { bigintBytes, copyPlain, PlainCopy } from './plain.ts';

function refusal(run: () => unknown): PerkeyError {
  try {
    run();
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(PerkeyError);
    return thrown as PerkeyError;
  }
  throw new Error('was not refused');
}

test('a copy is what a trip over the wire gives', () => {
  const anything = fc.anything({
    withBigInt: true,
    withDate: true,
    withTypedArray: true,
    withSparseArray: true,
    withNullPrototype: true,
    withMap: true,
    withSet: true,
    maxDepth: 4,
  });
  fc.assert(
    fc.property(anything, (value) => {
      expect(outcome(() => copyPlain(value))).toStrictEqual(outcome(() => decode(encode(value))));
    }),
    { numRuns: 2_000 },
  );
});

function outcome(run: () => unknown): unknown {
  try {
    return { value: run() };
  } catch (thrown) {
    const { code, message } = thrown as PerkeyError;
    return { code, message };
  }
}

test.each([
  ['texts', ['plain', 'a\ud800b', { ['\udc00']: '\udc00' }]],
  ['undefined properties', { a: undefined, b: [undefined] }],
  ['numbers', [-0, NaN, Infinity, 2 ** 60]],
  ['own names of the prototype', { constructor: 1, toString: 2, hasOwnProperty: 3, length: 4 }],
  ['bigints', [2n ** 100n, -(2n ** 63n)]],
  ['dates', [new Date(5), new Date(NaN)]],
  ['a bare value', 'text'],
])('%s are copied as the wire would', (_what, value) => {
  expect(copyPlain(value)).toStrictEqual(decode(encode(value)));
});

test('no wire form is larger than what a copy tells of it', () => {
  const anything = fc.anything({ withBigInt: true, withDate: true, withTypedArray: true, withNullPrototype: true, maxDepth: 4 });
  const fullTexts = fc.array(fc.string({ unit: 'binary', maxLength: 80 }), { maxLength: 8 });
  fc.assert(
    fc.property(fc.oneof(anything, fullTexts, fc.bigInt({ min: -(2n ** 900n), max: 2n ** 900n })), (value) => {
      let bytes: number;
      try {
        bytes = encode(value).length;
      } catch {
        return;
      }
      expect(new PlainCopy(value).bytesAtMost).toBeGreaterThanOrEqual(bytes);
    }),
    { numRuns: 600 },
  );
});

test('nothing is shared with the original', () => {
  const original = { list: [{ a: 1 }], date: new Date(7), bytes: Buffer.from('abc') };
  const copy = copyPlain(original);
  original.list[0]!.a = 2;
  original.date.setTime(8);
  original.bytes[0] = 0;
  expect(copy).toStrictEqual({ list: [{ a: 1 }], date: new Date(7), bytes: Uint8Array.from([97, 98, 99]) });
});

test('frozen values give copies that can be changed', () => {
  const copy = copyPlain(Object.freeze({ list: Object.freeze([1]) })) as { list: number[] };
  copy.list.push(2);
  expect(copy).toEqual({ list: [1, 2] });
});

test('what comes from another realm is plain', () => {
  const value: unknown = vm.runInNewContext('({ list: [{ a: 1 }] })');
  expect(copyPlain(value)).toEqual({ list: [{ a: 1 }] });
  expect(decode(encode(value))).toEqual({ list: [{ a: 1 }] });
  expect(refusal(() => copyPlain(vm.runInNewContext('new Map()'))).code).toBe('payload.not_plain');
});

class Account {
  readonly id = 1;
}

test.each([
  ['a function', () => 1, 'value is a function'],
  ['an instance', { account: new Account() }, 'value.account is an instance of Account'],
  ['a symbol', [[Symbol('s')]], 'value[0][0] is a symbol'],
  ['a prototype', { a: JSON.parse('{"__proto__":1}') }, 'value.a.__proto__ is a property name'],
  ['a map', { 'a b': [new Map()] }, 'value["a b"][0] is an instance of Map'],
  ['a huge bigint', 1n << 10_000n, 'value is a bigint of more than 1024 bytes'],
])('%s is refused with its path', (_what, value, message) => {
  const error = refusal(() => copyPlain(value));
  expect(error.code).toBe('payload.not_plain');
  expect(error.message).toContain(message);
});

test('cycles, depth and size are refused as on the wire', () => {
  const loop: unknown[] = [];
  loop.push([loop]);
  expect(refusal(() => copyPlain(loop)).message).toContain('value[0][0] is a cycle');
  expect(refusal(() => copyPlain(new Array<number>(20_001).fill(0))).code).toBe('payload.too_large');
  let deep: unknown = 1;
  for (let i = 0; i < 65; i += 1) deep = [deep];
  expect(refusal(() => copyPlain(deep)).message).toContain('lies deeper than 64 levels');
});

test('a long name is cut in the path', () => {
  const { message } = refusal(() => copyPlain({ ['x'.repeat(1_000)]: Symbol('s') }));
  expect(message.length).toBeLessThan(150);
});

test('the bytes of a bigint are those of its shortest two’s complement form', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 300n), max: 2n ** 300n }), (value) => {
      const bits = bigintBytes(value) * 8;
      expect(BigInt.asIntN(bits, value)).toBe(value);
      expect(bits === 8 || BigInt.asIntN(bits - 8, value) !== value).toBe(true);
    }),
  );
});
