import { expect, test } from 'vitest';
import { ToldSequences } from './told.ts';

test('what was told of a subject never falls', () => {
  const told = new ToldSequences();
  told.note('a', 5);
  told.note('a', 3);
  told.note('b', 9);
  expect([told.of('a'), told.of('b'), told.of('c'), told.highest]).toEqual([5, 9, 0, 9]);
  expect(told.reachedBefore('c')).toBe(0);
});

test('of subjects that were let go the highest sequence stays known, so that a read of them can be checked against the whole', () => {
  const told = new ToldSequences();
  const count = 65_537;
  for (let i = 1; i <= count; i += 1) told.note(`s${i}`, i);
  expect(told.of('s1')).toBe(0);
  expect(told.reachedBefore('s1')).toBe(16_384);
  expect(told.of('s16385')).toBe(16_385);
  expect(told.reachedBefore('s16385')).toBe(0);
  expect(told.highest).toBe(count);
});
