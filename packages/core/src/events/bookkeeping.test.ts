import { expect, test } from 'vitest';
import { decode, encode } from '../base/codec.ts';
import { Bookkeeping } from './bookkeeping.ts';

const limits = { repliesMax: 3, replyAgeMs: 1_000 };
const reply = (idempotencyKey: string, outcome: unknown = idempotencyKey) => ({ idempotencyKey, method: 'm', caller: 'c', outcome });
const keysOf = (book: Bookkeeping, now: number): readonly string[] => book.replies(now).map(({ idempotencyKey }) => idempotencyKey);

test('replies are remembered up to a number and an age, the oldest go first, and one that comes again is young', () => {
  const book = new Bookkeeping(limits);
  for (const [i, key] of ['a', 'b', 'a', 'c', 'd'].entries()) book.apply({ reply: reply(key, i) }, i * 100);
  expect(book.replies(450)).toEqual([
    { ...reply('a', 2), at: 200 },
    { ...reply('c', 3), at: 300 },
    { ...reply('d', 4), at: 400 },
  ]);
  for (let at = 500; at <= 1_200; at += 100) book.apply({}, at);
  expect(keysOf(book, 1_200)).toEqual(['c', 'd']);
  for (let at = 1_300; at <= 1_400; at += 100) book.apply({}, at);
  expect(keysOf(book, 1_400)).toEqual([]);
});

test('a pause counts for a tenth of the age at most, so that a wall clock that jumps makes no reply old', () => {
  const book = new Bookkeeping(limits);
  book.apply({ reply: reply('a') }, 5_000);
  expect(keysOf(book, 5_000 + 3_600_000)).toEqual(['a']);
  // One node is an hour ahead of the other: each time that it comes first again takes a tenth.
  for (let turn = 1; turn <= 9; turn += 1) {
    book.apply({}, 5_000 + 3_600_000);
    book.apply({}, 5_000);
    expect(keysOf(book, 5_000)).toEqual(['a']);
  }
  const [young] = book.replies(5_000);
  expect(book.ageMs(young!, 5_000)).toBe(900);
  const restored = Bookkeeping.restore(decode(encode(book.pack(5_000))), limits);
  for (const one of [book, restored]) {
    one.apply({}, 5_099);
    expect(keysOf(one, 5_099)).toEqual(['a']);
    expect(keysOf(one, 5_100)).toEqual([]);
  }
});

test('with room for none, no reply is remembered', () => {
  const book = new Bookkeeping({ ...limits, repliesMax: 0 });
  book.apply({ reply: reply('a') }, 1);
  expect(book.replies(1)).toEqual([]);
});

test('outbox messages are numbered on, and leave in order when they were delivered', () => {
  const book = new Bookkeeping(limits);
  book.apply({ outbox: ['one', 'two'] }, 5);
  book.apply({ outbox: ['three'], delivered: 1 }, 6);
  expect(book.pending()).toEqual([
    { number: 2, at: 5, message: 'two' },
    { number: 3, at: 6, message: 'three' },
  ]);
  book.apply({ delivered: 1 }, 7);
  expect(book.pendingCount).toBe(2);
  book.apply({ delivered: 100 }, 8);
  book.apply({ outbox: ['four'] }, 9);
  expect([book.pending(), book.outboxNumber]).toEqual([[{ number: 4, at: 9, message: 'four' }], 4]);
});

test('reminders are set, replaced and ended by name', () => {
  const book = new Bookkeeping(limits);
  book.apply(
    {
      reminders: [
        { name: 'a', reminder: 1 },
        { name: 'b', reminder: 2 },
      ],
    },
    0,
  );
  book.apply({ reminders: [{ name: 'a', reminder: 3 }, { name: 'b' }, { name: 'missing' }] }, 0);
  expect([...book.reminders()]).toEqual([['a', 3]]);
});

test('what was packed is restored, without replies that are too old', () => {
  const book = new Bookkeeping(limits);
  book.apply({ reply: reply('old') }, 0);
  for (let at = 100; at < 900; at += 100) book.apply({}, at);
  book.apply({ reply: reply('young', { balance: 5n }), outbox: ['one', 'two'], reminders: [{ name: 'a', reminder: { at: 1 } }] }, 900);
  book.apply({ delivered: 1 }, 950);
  const restored = Bookkeeping.restore(decode(encode(book.pack(1_000))), limits);
  expect(keysOf(book, 999)).toEqual(['old', 'young']);
  expect(keysOf(restored, 1_000)).toEqual(['young']);
  expect(restored.pack(1_000)).toEqual(book.pack(1_000));
  restored.apply({ outbox: ['three'] }, 1_000);
  expect(restored.pending().map(({ number }) => number)).toEqual([2, 3]);
});

test.each([
  [null],
  [[]],
  [[[], 0, []]],
  [[[['k', 'm', 'c', 'now', 1]], 0, [], [], [0, 0]]],
  [[[], 'x', [], [], [0, 0]]],
  [[[], 0, [[1, 2]], [], [0, 0]]],
  [[[], 0, [], [[1, 2]], [0, 0]]],
  [[[], 0, [], [], [0]]],
  [[[], 0, [], [], [0, 'now']]],
])('what packing does not make is refused: %j', (packed) => {
  expect(() => Bookkeeping.restore(packed, limits)).toThrow(RangeError);
});
