import { expect, test } from 'vitest';
import { rowKey, withEarlier } from './report.ts';

const line = (id: string, where: string, figures: string): string =>
  `| ${id} | a fault | ${where} | ${figures} | 1 | 0 | 0 | 0.1 | holds |`;

test('a new run replaces the line of its row on that server; lines of rows that were run elsewhere stay, unless there is no such row any more', () => {
  const earlier = [
    line('F1', '2.9.10, proxy', 'old'),
    line('F1', '2.15.1', 'old'),
    line('F1', '2.9.10, 3 replicas', 'old'),
    line('F2', '2.9.10', 'old a \\| b'),
    line('F99', '2.9.10', 'old'),
  ];
  const now = [line('F1', '2.9.10, namespaces', 'new')];
  expect(withEarlier(now, earlier, ([id]) => id !== 'F99', rowKey)).toEqual([now[0], earlier[1], earlier[2], earlier[3]]);
  expect(withEarlier([], earlier, () => true, rowKey)).toEqual(earlier);
});
