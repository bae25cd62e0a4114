import { expect, test } from 'vitest';
import { LogTable } from './log-table.ts';

const body = new Uint8Array(1);

function append(table: LogTable, key: string, expectedSequence: number, epoch: number = 1): number {
  const outcome = table.append({ stream: { type: 'T', key }, shard: 0, expectedSequence, epoch, body });
  return outcome.kind === 'appended' ? outcome.sequence : 0;
}

test('a lower epoch than the last one of the stream is a conflict', () => {
  const table = new LogTable(true);
  const first = append(table, 'a', 0, 5);
  expect(append(table, 'a', first, 4)).toBe(0);
  expect(append(table, 'a', first, 5)).toBe(2);
  expect(append(table, 'b', 0, 1)).toBe(3);
});

test('reads go on where they were when removed records are swept out', () => {
  const table = new LogTable(false);
  const first = append(table, 'kept', 0);
  let last = 0;
  for (let i = 0; i < 3_000; i += 1) last = append(table, 'a', last);
  expect(table.records({}, 0, table.last, 10)).toMatchObject({ records: [{ sequence: first }, { sequence: last }], through: last });
  expect(table.records({}, last - 1, table.last, 10).records).toMatchObject([{ sequence: last }]);
  expect(table.records({}, 0, last - 1, 10)).toMatchObject({ records: [{ sequence: first }], through: last - 1 });
});
