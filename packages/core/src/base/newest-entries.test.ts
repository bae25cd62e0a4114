import { expect, test } from 'vitest';
import { setNewest } from './newest-entries.ts';

test('the newest entries stay, each as new as it was last set', () => {
  const map = new Map<string, number>();
  for (const [key, value] of [
    ['a', 1],
    ['b', 2],
    ['c', 3],
    ['a', 4],
    ['d', 5],
    ['e', 6],
  ] as const)
    setNewest(map, key, value, 3);
  expect([...map]).toEqual([
    ['a', 4],
    ['d', 5],
    ['e', 6],
  ]);
});
