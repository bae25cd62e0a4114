import { expect, test } from 'vitest';
import { AppendsUnderWay, type UnderWay } from './appends-under-way.ts';

const send = (appends: AppendsUnderWay<UnderWay>, sentAt: number): number => {
  const number = appends.nextNumber();
  appends.add({ number, sentAt });
  return number;
};

test('an append is found once, by its own number', () => {
  const appends = new AppendsUnderWay<UnderWay>();
  const numbers = [1, 2, 3].map((at) => send(appends, at));
  expect(new Set(numbers).size).toBe(3);
  expect(appends.take(numbers[1] ?? 0)).toEqual({ number: numbers[1], sentAt: 2 });
  expect([appends.take(numbers[1] ?? 0), appends.take(4_711), appends.take(Number.NaN), appends.size]).toEqual([
    undefined,
    undefined,
    undefined,
    2,
  ]);
});

test('a number is never given again, also when its place was free long since and others were left behind', () => {
  const appends = new AppendsUnderWay<UnderWay>();
  const kept = [send(appends, 0), send(appends, 0)];
  const seen = new Set(kept);
  for (let i = 0; i < 1_000; i += 1) {
    const number = send(appends, i);
    expect(seen.has(number)).toBe(false);
    seen.add(number);
    expect(appends.take(number)?.sentAt).toBe(i);
  }
  expect(appends.size).toBe(2);
  for (const number of kept) expect(appends.take(number)?.number).toBe(number);
});

test('very many at once find their places, and those of a time and before are taken in the order of sending', () => {
  const appends = new AppendsUnderWay<UnderWay>();
  const numbers = Array.from({ length: 3_000 }, (_, i) => send(appends, Math.trunc(i / 10)));
  for (let i = 0; i < numbers.length; i += 3) expect(appends.take(numbers[i] ?? 0)?.number).toBe(numbers[i]);
  const left = numbers.filter((_, i) => i % 3 !== 0);
  const early = appends.takeSentUntil(149).map(({ number }) => number);
  expect(early).toEqual(left.slice(0, 1_000));
  expect(appends.takeSentUntil(Infinity).map(({ number }) => number)).toEqual(left.slice(1_000));
  expect(appends.size).toBe(0);
});
