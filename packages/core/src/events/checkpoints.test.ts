import { expect, test } from 'vitest';
import type { KeptRecords } from '../contract/store.ts';
import { RecordTable } from '../memory/record-table.ts';
import { Checkpoints } from './checkpoints.ts';

/** Records of which reads show what was there first, as a leader does that was deposed, until `heal`. */
function staleRecords(): { readonly records: KeptRecords; readonly table: RecordTable; asked(): number; heal(): void } {
  const table = new RecordTable();
  let isStale = true;
  let asked = 0;
  const records: KeptRecords = {
    read: async (key) => {
      asked += 1;
      const found = table.read(key);
      return isStale && found !== undefined ? { ...found, revision: 1 } : found;
    },
    write: async (key, value, expected) => table.write(key, value, expected),
    forget: async (key, upTo) => table.forget(key, upTo),
    list: async function* () {},
  };
  return { records, table, asked: () => asked, heal: () => (isStale = false) };
}

test('a save that is refused on the word of a read that shows less is given up for now, and succeeds later', async () => {
  const { records, table, asked, heal } = staleRecords();
  const checkpoints = new Checkpoints(records);
  expect(await checkpoints.load('p.1')).toBeUndefined();
  for (const position of [5, 6]) table.write('checkpoint.p.1', JSON.stringify({ position, epoch: 1 }), table.lastRevision);
  await expect(checkpoints.save('p.1', { position: 9, epoch: 2 })).rejects.toMatchObject({ code: 'store.unavailable' });
  expect(asked()).toBeLessThan(10);
  heal();
  expect(await checkpoints.save('p.1', { position: 9, epoch: 2 })).toBeUndefined();
  expect(await new Checkpoints(records).save('p.1', { position: 1, epoch: 1 })).toBe(2);
});
