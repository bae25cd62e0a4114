import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FileWriter } from './file-writer.ts';
import { type Group, packAppends } from './group.ts';
import { openForWriting } from './schema.ts';

let folder = '';
const opened: DatabaseSync[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'perkey-file-writer-'));
  const identity = { id: 'test', cluster: 'test', shards: 64 };
  openForWriting({ path: file(), synchronous: 'off', fileBytesMax: 1e9, checkpointPages: 1_000, identity }).database.close();
});
afterEach(async () => {
  for (const database of opened.splice(0)) database.close();
  await rm(folder, { recursive: true, force: true });
});

const file = (): string => join(folder, 'store.db');

/** Commits fail with this result code of SQLite, as often as it is told. */
class FailingCommits extends DatabaseSync {
  readonly code: number;
  left: number;

  constructor(code: number, times: number) {
    super(file());
    this.code = code;
    this.left = times;
    opened.push(this);
  }

  override prepare(sql: string): StatementSync {
    const statement = super.prepare(sql);
    if (sql !== 'commit') return statement;
    const run = statement.run.bind(statement);
    statement.run = () => {
      if (this.left === 0) return run();
      this.left -= 1;
      throw Object.assign(new Error('as asked for'), { errcode: this.code });
    };
    return statement;
  }
}

function groupOf(keys: readonly string[], expected: readonly number[] = []): Group {
  const appends = keys.map((key, place) => {
    const stream = { type: 'Account', key };
    return { log: 0, append: { stream, shard: 1, expectedSequence: expected[place] ?? 0, epoch: 1, body: new Uint8Array(2) } };
  });
  return { appends: packAppends(appends), edits: [] };
}

const stored = (database: DatabaseSync): number =>
  Number(database.prepare('select count(*) as count from events_records').get()?.['count']);

describe('the writer of a file', () => {
  test('a commit that failed on the disk is unknown for the whole group, and is not tried again', () => {
    const database = new FailingCommits(10 | (4 << 8), 1);
    const writer = new FileWriter(database);
    const { appends, transactions } = writer.run(groupOf(['a', 'b', 'c']));
    expect(appends).toEqual([1, 2, 3].map(() => ({ reason: 'input_output', text: 'as asked for', certain: false })));
    expect(transactions).toBe(1);
    expect(stored(database)).toBe(0);
    expect(writer.run(groupOf(['a', 'b'])).appends).toEqual([1, 2]);
  });

  test('a commit for which there was no room is certain, and smaller ones are tried', () => {
    const database = new FailingCommits(13, 3);
    // The group, its first half, and the first of that do not fit; then there is room.
    const { appends, transactions } = new FileWriter(database).run(groupOf(['a', 'b', 'c', 'd']));
    expect(appends).toEqual([{ reason: 'full', text: expect.stringMatching(/full/), certain: true }, 1, 2, 3]);
    expect(transactions).toBe(5);
    expect(stored(database)).toBe(3);
  });

  test('what a transaction that was taken back knew of streams is forgotten: another stream has the id that one had there', () => {
    const database = new FailingCommits(10 | (4 << 8), 1);
    const writer = new FileWriter(database);
    writer.run(groupOf(['a']));
    expect(writer.run(groupOf(['b'])).appends).toEqual([1]);
    expect(writer.run(groupOf(['a', 'b'], [1, 1])).appends).toEqual([0, 2]);
    const heads = database.prepare('select cast(key as text) as key, last from events_streams').all();
    expect(heads.map((row) => ({ ...row }))).toEqual([{ key: 'b', last: 2 }]);
  });

  test('while another program writes, the whole group waits once and is refused', () => {
    const other = new DatabaseSync(file());
    opened.push(other);
    other.exec('begin immediate');
    const writer = new FileWriter(new FailingCommits(0, 0));
    const { appends, transactions } = writer.run(groupOf(['a', 'b', 'c']));
    expect(appends).toEqual([1, 2, 3].map(() => ({ reason: 'locked', text: expect.any(String), certain: true })));
    expect(transactions).toBe(1);
    other.exec('rollback');
    expect(writer.run(groupOf(['a'])).appends).toEqual([1]);
  });

  test('conflicts leave no gap, and a stream that is appended to twice in one group is a chain', () => {
    const database = new FailingCommits(0, 0);
    const group = groupOf(['a', 'a', 'a', 'b'], [0, 0, 1, 7]);
    expect(new FileWriter(database).run(group).appends).toEqual([1, 0, 2, 0]);
    expect(
      database
        .prepare('select sequence, previous from events_records')
        .all()
        .map((row) => ({ ...row })),
    ).toEqual([
      { sequence: 1, previous: 0 },
      { sequence: 2, previous: 1 },
    ]);
  });

  test('a group of very many appends is written whole, and of the states only the last one of each stream stays', () => {
    const database = new FailingCommits(0, 0);
    const writer = new FileWriter(database);
    const keys = Array.from({ length: 75 }, (_, i) => `k${i}`);
    const sequences = keys.map((_, i) => i + 1);
    for (const log of [0, 1]) {
      const append = (key: string, expectedSequence: number, byte: number) => ({
        log,
        append: { stream: { type: 'Account', key }, shard: 1, expectedSequence, epoch: 1, body: Uint8Array.of(byte) },
      });
      const first = keys.map((key, i) => append(key, 0, i));
      const second = keys.map((key, i) => append(key, i + 1, i + 100));
      const results = writer.run({ appends: packAppends([...first, ...second]), edits: [] }).appends;
      expect(results).toEqual([...sequences, ...sequences.map((sequence) => sequence + 75)]);
    }
    const rows = (log: string): unknown[] =>
      database
        .prepare(`select sequence, stream, previous, hex(body) as body from ${log}_records order by sequence`)
        .all()
        .map((row) => Object.values(row));
    const hex = (byte: number): string => Buffer.of(byte).toString('hex').toUpperCase();
    const replacing = keys.map((_, i) => [i + 76, i + 1, hex(i + 100)] as const);
    expect(rows('events')).toEqual([
      ...keys.map((_, i) => [i + 1, i + 1, 0, hex(i)]),
      ...replacing.map(([sequence, stream, body]) => [sequence, stream, stream, body]),
    ]);
    expect(rows('states')).toEqual(replacing.map(([sequence, stream, body]) => [sequence, stream, 0, body]));
  });
});
