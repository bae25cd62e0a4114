import { expect, test } from 'vitest';
import { Doubts } from './doubts.ts';

test('what is in doubt is known until its outcome is, and an outcome ends the doubt about its own append only', () => {
  const doubts = new Doubts();
  doubts.begin('a', 5);
  expect([doubts.isDoubtful('a', 5), doubts.isDoubtful('a', 6), doubts.isDoubtful('b', 5)]).toEqual([true, false, false]);
  doubts.begin('a', 7);
  doubts.end('a', 5);
  expect(doubts.isDoubtful('a', 7)).toBe(true);
  doubts.end('a', 7);
  expect([doubts.isDoubtful('a', 7), doubts.size]).toEqual([false, 0]);
});

test('a read that shows less than an append was based on, or than a read before it, is doubtful', () => {
  const doubts = new Doubts();
  doubts.begin('a', 5);
  expect(doubts.isDoubtful('a', 4)).toBe(true);
  doubts.seen('a', 5, 9);
  expect([5, 8, 9].map((last) => doubts.isDoubtful('a', last))).toEqual([true, true, false]);
  doubts.begin('a', 9);
  doubts.seen('a', 8, 20);
  expect([doubts.isDoubtful('a', 9), doubts.isDoubtful('a', 10)]).toEqual([true, false]);
  doubts.end('a', 9);
  expect(doubts.size).toBe(0);
});

test('doubts are bounded, and a key that was let go stays doubtful', () => {
  const doubts = new Doubts(100);
  for (let i = 0; i < 500; i += 1) doubts.begin(`key-${i}`, i);
  expect(doubts.size).toBe(100);
  for (let i = 0; i < 500; i += 1) expect(doubts.isDoubtful(`key-${i}`, i)).toBe(true);
  expect(doubts.isDoubtful('key-499', 500)).toBe(false);
  const others = Array.from({ length: 1_000 }, (_, i) => doubts.isDoubtful(`other-${i}`, 0));
  expect(others.filter(Boolean).length).toBeLessThan(300);
});
