import { seededRandom } from '@perkey/core';
import { expect, test } from 'vitest';
import { ServerList } from './server-list.ts';

const take = (list: ServerList, count: number): readonly string[] => Array.from({ length: count }, () => list.next());

test('all servers come in turn, those that were told last', () => {
  const list = new ServerList(['a:1', 'b:2'], seededRandom(1));
  const first = take(list, 4);
  expect(first.toSorted()).toEqual(['a:1', 'a:1', 'b:2', 'b:2']);
  expect(first[0]).not.toBe(first[1]);
  list.learn(['b:2', 'c:3']);
  expect(list.all).toEqual(['a:1', 'b:2', 'c:3']);
  expect(take(list, 3).toSorted()).toEqual(['a:1', 'b:2', 'c:3']);
  list.learn(undefined);
  expect(list.all).toEqual(['a:1', 'b:2']);
  expect(take(list, 2).toSorted()).toEqual(['a:1', 'b:2']);
});

test('a server cannot fill the list', () => {
  const list = new ServerList(['a:1'], seededRandom(1));
  list.learn(Array.from({ length: 1_000 }, (_, i) => `h${i}:1`));
  expect(list.all).toHaveLength(17);
});
