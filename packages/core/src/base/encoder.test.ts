import { expect, test } from 'vitest';
import { decode } from './codec.ts';
import { Encoder } from './encoder.ts';
import { PerkeyError } from './errors.ts';
import { Slab } from './slab.ts';

test('what was taken never changes, however many buffers follow from the same slab', () => {
  const slab = new Slab(4_096);
  const encoders = [new Encoder(slab), new Encoder(slab), new Encoder(slab)];
  const taken: { bytes: Uint8Array; copy: Uint8Array; value: unknown }[] = [];
  for (let i = 0; i < 600; i += 1) {
    for (const encoder of encoders) encoder.open((i * 37) % 300);
    encoders.forEach((encoder, n) => {
      const value = { n, i, text: 'x'.repeat((i * 13 + n * 101) % 700) };
      encoder.value(value);
      if ((i + n) % 5 === 0) return;
      const bytes = encoder.take();
      taken.push({ bytes, copy: bytes.slice(), value });
    });
  }
  for (const { bytes, copy, value } of taken) {
    expect(bytes).toEqual(copy);
    expect(decode(bytes)).toEqual(value);
  }
});

test('a buffer grows to what is written, from any hint', () => {
  for (const hint of [0, 1, 100, 70_000]) {
    const encoder = new Encoder(new Slab(1_024));
    encoder.open(hint);
    encoder.u32(1);
    const big = { text: 'é'.repeat(100_000), bytes: new Uint8Array(50_000).fill(7), list: new Array(1_000).fill('item') };
    encoder.value(big);
    encoder.patchU32(0, encoder.length);
    const bytes = encoder.take();
    expect(new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)).toBe(bytes.length);
    expect(decode(bytes, 4)).toEqual(big);
  }
});

test('rewind forgets what came after', () => {
  const encoder = new Encoder();
  encoder.open(16);
  encoder.value('kept');
  const kept = encoder.length;
  encoder.value('x'.repeat(10_000));
  encoder.rewind(kept);
  expect(decode(encoder.copy())).toBe('kept');
  expect(encoder.length).toBe(kept);
  expect(decode(encoder.take())).toBe('kept');
});

test('copies are independent of the buffer, short and long', () => {
  const encoder = new Encoder();
  encoder.open(16);
  for (const text of ['short', 'l'.repeat(500)]) {
    encoder.rewind(0);
    encoder.value(text);
    const copy = encoder.copy();
    encoder.rewind(0);
    encoder.value('overwritten'.repeat(60));
    expect(decode(copy)).toBe(text);
  }
});

test('a message that must not be so long is given up before it takes much memory', () => {
  const encoder = new Encoder(new Slab(1_024));
  encoder.open(64);
  encoder.message(10_000);
  const endless = new Array<string>(10_000).fill('x'.repeat(1_000));
  expect(() => encoder.value(endless)).toThrow(PerkeyError);
  expect(encoder.length).toBeLessThan(40_000);
  encoder.rewind(0);
  encoder.message(10_000);
  encoder.value('x'.repeat(9_990));
  expect(encoder.length).toBe(9_993);
});

test('the account of nodes is one per message, not one per value', () => {
  const encoder = new Encoder();
  encoder.open(64);
  encoder.value(new Array(15_000).fill(0));
  expect(() => encoder.value(new Array(15_000).fill(0))).toThrow('more than 20000 elements');
  encoder.message(1_000_000);
  encoder.value(new Array(15_000).fill(0));
});
