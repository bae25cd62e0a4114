import { expect, test } from 'vitest';
import fc from 'fast-check';
import { fnv1a, mix32, shardOf } from './hash.ts';

/** The same hash the long way: encode, then one byte after the other. */
function byBytes(text: string): number {
  let state = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) state = Math.imul(state ^ byte, 0x01000193);
  return state >>> 0;
}

test('fnv1a gives the published values', () => {
  expect(fnv1a('')).toBe(0x811c9dc5);
  expect(fnv1a('a')).toBe(0xe40c292c);
  expect(fnv1a('foobar')).toBe(0xbf9cf968);
});

test('fnv1a hashes the UTF-8 bytes of any text, with a lone surrogate as U+FFFD', () => {
  const anyUnits = fc.array(fc.integer({ min: 0, max: 0xffff })).map((units) => String.fromCharCode(...units));
  const surrogates = fc.array(fc.constantFrom('\ud83d', '\ude00', 'a', 'é', '漢', '😀')).map((parts) => parts.join(''));
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' }), anyUnits, surrogates), (text) => fnv1a(text) === byBytes(text)),
  );
  expect(fnv1a('\ud800')).toBe(fnv1a('\ufffd'));
  expect(fnv1a('x\udc00y')).toBe(fnv1a('x\ufffdy'));
});

test('mix32 gives the published values and takes signed and unsigned alike', () => {
  expect(mix32(0)).toBe(0);
  expect(mix32(1)).toBe(0x514e28b7);
  expect(mix32(0xffffffff)).toBe(0x81f16f39);
  expect(mix32(-1)).toBe(mix32(0xffffffff));
});

test('shardOf is in range for any text and number of shards', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 1, max: 65_536 }), (key, shards) => {
      const shard = shardOf(key, shards);
      expect(Number.isInteger(shard) && shard >= 0 && shard < shards).toBe(true);
    }),
  );
});

test('shardOf never changes: these values are part of the protocol', () => {
  const keys = ['my-counter', 'bench', 'user-42/cart-42', 'a..b', 'x.*', 'ключ', '漢字', '🎲', '__proto__', ' '];
  expect(keys.map((key) => shardOf(key, 256))).toEqual([145, 6, 234, 68, 14, 98, 53, 125, 171, 212]);
  expect(keys.map((key) => shardOf(key, 100))).toEqual([49, 26, 94, 24, 54, 94, 41, 93, 3, 88]);
});

const keySets: Record<string, (i: number) => string> = {
  numbers: (i) => String(i),
  'user ids': (i) => `user-${i}`,
  'padded ids': (i) => `order-${String(i).padStart(10, '0')}`,
  'ids with a stride': (i) => `account:${i * 256}`,
  uuids: (i) =>
    [1, 2, 3, 4]
      .map((part) =>
        mix32(i * 4 + part)
          .toString(16)
          .padStart(8, '0'),
      )
      .join('')
      .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'),
  emails: (i) => `${['anna', 'ben', 'carl', 'dora', 'emil'][i % 5]}.${Math.floor(i / 5)}@example.com`,
  'items of tenants': (i) => `tenant-${i % 97}/item-${Math.floor(i / 97)}`,
  'a repeated id': (i) => `user-${i}/cart-${i}`,
  'a doubled id': (i) => `${i}:${i}`,
  'emoji and a number': (i) => `🎲${i}`,
};

for (const [name, keyOf] of Object.entries(keySets)) {
  test.each([16, 64, 100, 256, 1024])(`shardOf spreads ${name} over %i shards as evenly as chance would`, (shards) => {
    const mean = 100;
    const counts = new Float64Array(shards);
    for (let i = 0; i < shards * mean; i += 1) counts[shardOf(keyOf(i), shards)]! += 1;
    const chiSquare = counts.reduce((sum, count) => sum + (count - mean) ** 2 / mean, 0);
    const freedom = shards - 1;
    // Six standard deviations of chi-square; the keys are fixed, so the outcome is as well.
    expect((chiSquare - freedom) / Math.sqrt(2 * freedom)).toBeLessThan(6);
  });
}
