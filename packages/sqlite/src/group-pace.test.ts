import { describe, expect, test } from 'vitest';
import { GroupPace } from './group-pace.ts';

/** Milliseconds: of a force to the disk, of writing one append, and of an author until its next append. */
function paced(forceMs: number, writeMs: number, authorMs: number): GroupPace {
  const pace = new GroupPace();
  pace.wrote(128, { seconds: (forceMs + 128 * writeMs) / 1_000, commitSeconds: forceMs / 1_000 }, 1_000);
  const told = Array.from({ length: 128 }, () => pace.came()).filter(Boolean);
  expect(told).toHaveLength(1);
  pace.made(1_000 + 64 * authorMs);
  return pace;
}

describe('the pace of groups', () => {
  test('before anything is known all that wait share one force', () => {
    expect(new GroupPace().enough(10_000)).toBe(Infinity);
  });

  test('small groups tell nothing', () => {
    const pace = new GroupPace();
    pace.wrote(63, { seconds: 0.001, commitSeconds: 0.0001 }, 0);
    expect(pace.came()).toBe(false);
    expect(pace.enough(10_000)).toBe(Infinity);
  });

  test('where a force takes longer than all authors, all share one', () => {
    expect(paced(6, 0.005, 0.02).enough(256)).toBe(Infinity);
    expect(paced(5, 0.005, 0.02).enough(256)).toBe(128);
  });

  test('where the authors are slower than the thread, groups are as small as it keeps up with, and not too small', () => {
    expect(paced(1.5, 0.005, 0.02).enough(256)).toBeCloseTo(100);
    expect(paced(0.1, 0.005, 0.02).enough(256)).toBe(64);
  });

  test('where the thread is slower, two halves take turns', () => {
    expect(paced(0.4, 0.005, 0.003).enough(256)).toBe(128);
  });

  test('it follows the disk', () => {
    const pace = paced(0.4, 0.005, 0.02);
    expect(pace.enough(256)).toBe(64);
    for (let i = 0; i < 30; i += 1) pace.wrote(128, { seconds: 0.01, commitSeconds: 0.009 }, 2_000);
    expect(pace.enough(256)).toBe(Infinity);
  });
});
