import { expect, test } from 'vitest';
import { type ShardRecord, shardKey } from './records.ts';
import { ShardTable } from './shard-table.ts';

function tableWith(record: Partial<ShardRecord>): ShardTable {
  const table = new ShardTable(
    4,
    () => {},
    () => {},
  );
  const whole = { nodeId: 'a', incarnation: '1-a', shard: 3, epoch: 7, state: 'owned', ...record };
  table.onRecord({ key: shardKey(3), value: JSON.stringify(whole), revision: 1 });
  return table;
}

const successor = { nodeId: 'b', incarnation: '1-b' };

test('a transfer may be named until the record of its shard says otherwise, however much later that is heard than the end of its sender', () => {
  const mayName = (record: Partial<ShardRecord>): boolean => tableWith(record).mayName('one', 3, 7);
  expect(tableWith({ shard: 3 }).mayName('one', 2, 7)).toBe(true);
  // The sender's own claim was not heard of yet, or not its release.
  expect(mayName({ epoch: 6, nodeId: 'c', incarnation: '1-c' })).toBe(true);
  expect(mayName({ epoch: 7 })).toBe(true);
  expect(mayName({ epoch: 7, state: 'releasing', successor, transfer: 'one' })).toBe(true);
  expect(mayName({ epoch: 8, ...successor, transfer: 'one' })).toBe(true);
  // Another transfer, none, or another owner.
  expect(mayName({ epoch: 7, state: 'releasing', successor, transfer: 'another' })).toBe(false);
  expect(mayName({ epoch: 7, state: 'free' })).toBe(false);
  expect(mayName({ epoch: 8, nodeId: 'c', incarnation: '1-c' })).toBe(false);
});

/** Records of shard 3, told by a watch. */
class Watched {
  readonly table = tableWith({ epoch: 7 });

  tell(revision: number, epoch: number): this {
    this.table.onRecord({
      key: shardKey(3),
      value: JSON.stringify({ nodeId: 'a', incarnation: '1-a', shard: 3, epoch, state: 'owned' }),
      revision,
    });
    return this;
  }

  /** All that exists was told. */
  synced(): this {
    this.table.onSynced();
    return this;
  }
}

test('a store that was set back is known by what it lists when it is asked again', () => {
  const watched = new Watched().tell(8, 9).synced();
  expect(watched.table.setBackTo(3)).toBeUndefined();
  // The same again, after a reconnect.
  expect(watched.tell(8, 9).synced().table.setBackTo(3)).toBeUndefined();
  // An older record.
  expect(watched.tell(4, 7).table.setBackTo(3)).toBeUndefined();
  expect(watched.synced().table.setBackTo(3)).toEqual({ record: undefined, revision: 4 });
  expect(watched.table.get(3)?.record.epoch).toBe(9);
  // It was claimed anew, and the store has it.
  watched.table.learn({
    key: shardKey(3),
    value: JSON.stringify({ nodeId: 'a', incarnation: '1-a', shard: 3, epoch: 10, state: 'owned' }),
    revision: 5,
  });
  expect(watched.table.setBackTo(3)).toBeUndefined();
  expect(watched.tell(5, 10).table.setBackTo(3)).toBeUndefined();
  // None at all.
  expect(watched.synced().synced().table.setBackTo(3)).toEqual({ record: undefined, revision: 0 });
});

test('a record of a lower epoch that the store takes upon a later one is from before the store was set back', () => {
  const watched = new Watched().tell(8, 9).synced();
  expect(watched.tell(9, 7).table.setBackTo(3)).toEqual({ record: undefined, revision: 9 });
  expect(watched.table.get(3)?.record.epoch).toBe(9);
  // As of another counting of revisions nothing follows from it, until all was told.
  const anew = new Watched().tell(8, 9).synced().tell(1, 5);
  expect(anew.table.setBackTo(3)).toBeUndefined();
  expect(anew.tell(9, 6).table.setBackTo(3)).toBeUndefined();
  expect(anew.synced().table.setBackTo(3)).toEqual({ record: undefined, revision: 9 });
});
