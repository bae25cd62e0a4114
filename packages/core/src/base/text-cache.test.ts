import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TextCache } from './text-cache.ts';

function reader(cache: TextCache): (text: Buffer, padding?: number) => string {
  return (text, padding = 3) => {
    const bytes = Buffer.concat([Buffer.alloc(padding, 0x7a), text, Buffer.alloc(padding, 0x7a)]);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return cache.read(bytes, view, padding, padding + text.length);
  };
}

test('a text is what its bytes say, the first time and every other, whatever was read between', () => {
  const read = reader(new TextCache());
  const text = fc.oneof(fc.string({ maxLength: 50 }), fc.string({ unit: 'binary', maxLength: 20 }), fc.stringMatching(/^[ab]{4,36}$/));
  fc.assert(
    fc.property(fc.array(text, { minLength: 1, maxLength: 50 }), (texts) => {
      for (const one of [...texts, ...texts]) {
        const bytes = Buffer.from(one);
        expect(read(bytes)).toBe(bytes.toString());
      }
    }),
    { numRuns: 300 },
  );
});

test('every length around the bounds is read, at the very start and end of the bytes too', () => {
  const read = reader(new TextCache());
  for (let length = 0; length <= 60; length += 1) {
    for (const last of ['a', 'b']) {
      const text = `${'x'.repeat(Math.max(0, length - 1))}${length > 0 ? last : ''}`;
      for (let round = 0; round < 2; round += 1) expect(read(Buffer.from(text), 0)).toBe(text);
    }
  }
});

test('texts that differ in one byte anywhere are kept apart', () => {
  const read = reader(new TextCache());
  for (const length of [1, 2, 3, 4, 5, 7, 8, 9, 35, 36]) {
    const base = Buffer.alloc(length, 0x61);
    for (let at = 0; at < length; at += 1) {
      const other = Buffer.from(base);
      other[at] = 0x62;
      for (const bytes of [base, other, base, other]) expect(read(bytes)).toBe(bytes.toString('latin1'));
    }
  }
});

test('bytes that are not UTF-8 do not pass for what they were replaced by', () => {
  const read = reader(new TextCache());
  const broken = Buffer.from([0xff, 0xfe, 0xfd, 0xfc]);
  expect(read(broken)).toBe('\ufffd\ufffd\ufffd\ufffd');
  expect(read(broken)).toBe('\ufffd\ufffd\ufffd\ufffd');
  expect(read(Buffer.from('ab\ufffd'))).toBe('ab\ufffd');
});

test('more texts than there are slots at first are told from one another, and remembered once there is room for them', () => {
  const cache = new TextCache();
  const texts = Array.from({ length: 400 }, (_, n) => Buffer.from(`text number ${n}`));
  let decoded = 0;
  const read = (bytes: Buffer): string => {
    const counting = Object.assign(Buffer.from(bytes), {
      toString: (...given: Parameters<Buffer['toString']>) => {
        decoded += 1;
        return Buffer.prototype.toString.apply(bytes, given);
      },
    });
    return cache.read(counting, new DataView(counting.buffer, counting.byteOffset, counting.byteLength), 0, counting.length);
  };
  for (let round = 0; round < 4; round += 1) {
    decoded = 0;
    for (const bytes of texts) expect(read(bytes)).toBe(bytes.toString());
  }
  expect(decoded).toBeLessThan(texts.length / 2);
  decoded = 0;
  for (let round = 0; round < 2; round += 1) expect(read(texts[0] as Buffer)).toBe('text number 0');
  expect(decoded).toBeLessThan(2);
});
