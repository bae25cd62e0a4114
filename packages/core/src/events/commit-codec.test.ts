import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decode, encode } from '../base/codec.ts';
import { PerkeyError } from '../base/errors.ts';
import { CommitReader } from './commit-reader.ts';
import { CommitWriter } from './commit-writer.ts';
import type { RecordParts } from './commit-writer.ts';
import { commitLimits, noHead } from './commit.ts';
import type { Commit, StreamHead } from './commit.ts';
import { positionAfter, positionOf, sequenceBefore } from './stored-event.ts';

const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 60 }),
  fc.string({ maxLength: 300 }),
  fc.constantFrom('', '__proto__', '\u0000', '€'),
);
const plain = fc.oneof(
  text,
  fc.integer(),
  fc.double(),
  fc.bigInt(),
  fc.constantFrom(null, undefined, true),
  fc.array(fc.integer(), { maxLength: 5 }),
  fc.record({ amount: fc.bigInt(), note: text }),
  fc.uint8Array({ maxLength: 40 }),
);
const optional = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined });
const whole = fc.integer({ min: 0, max: 2 ** 40 });

const partsOf: fc.Arbitrary<RecordParts> = fc.record({
  kind: fc.constant('commit' as const),
  stream: fc.record({ type: text, key: text }),
  head: fc.record({
    sequence: whole,
    version: whole,
    epoch: whole,
    owner: text,
    hash: text,
    ended: fc.constant(false),
  }) as fc.Arbitrary<StreamHead>,
  author: fc.record({ epoch: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), owner: text }),
  draft: fc.record({
    id: text,
    at: fc.double({ noNaN: true, noDefaultInfinity: true }),
    events: fc.array(fc.record({ name: text, schema: fc.integer({ min: 1, max: 10_000 }), data: plain }), { maxLength: 20 }),
    metadata: optional(
      fc.record({ correlation: optional(text), causation: optional(text), trace: optional(text), principal: optional(text) }),
    ),
    reply: optional(fc.record({ idempotencyKey: text, method: text, caller: text, outcome: plain })),
    outbox: optional(fc.array(plain, { maxLength: 5 })),
    delivered: optional(whole),
    reminders: optional(fc.array(fc.record({ name: text, reminder: plain }), { maxLength: 5 })),
  }),
});

const writer = new CommitWriter(1_000_000);
const reader = new CommitReader();

/** What reading has to give, in the form of the codec: texts are well formed there. */
const wire = (value: unknown): unknown => decode(encode(value));

function seen(commit: Commit): unknown {
  const { kind, type, key, version, epoch, owner, id, at, previousHash, events, metadata } = commit;
  const { reply, outbox, delivered, reminders } = commit.notes();
  return wire({
    ...{ kind, type, key, version, epoch, owner, id, at, previousHash, metadata: { ...metadata }, reply, outbox, delivered, reminders },
    events: events.map((event) => [event.id, event.position, event.version, event.event, event.schema, event.at, event.data]),
  });
}

function wanted({ kind, stream, head, author, draft }: RecordParts, sequence: number): unknown {
  const { id, at, events, metadata, reply, outbox, delivered, reminders } = draft;
  const isBare = metadata === undefined || Object.values(metadata).every((value) => value === undefined);
  return wire({
    ...{ kind, ...stream, version: head.version + events.length, ...author, id, at, previousHash: head.hash },
    metadata: isBare ? {} : { ...metadata },
    ...{ reply, outbox, delivered },
    reminders: reminders?.map(({ name, reminder }) => (reminder === undefined ? { name } : { name, reminder })),
    events: events.map(({ name, schema, data }, i) => [
      `${id}-${i}`,
      positionOf(sequence, i),
      head.version + 1 + i,
      name,
      schema,
      at,
      data,
    ]),
  });
}

describe('a commit', () => {
  test('is read as it was written, whatever is in it and wherever its bytes lie', () => {
    fc.assert(
      fc.property(partsOf, whole, fc.boolean(), (parts, sequence, ownMemory) => {
        const written = writer.write(parts);
        const body = ownMemory ? new Uint8Array(written) : written;
        expect(seen(reader.read({ sequence, body }))).toStrictEqual(wanted(parts, sequence));
      }),
      { numRuns: 500 },
    );
  });

  test('that was read stays as it is when others are read', () => {
    const write = (id: string): Uint8Array =>
      new Uint8Array(
        writer.write({
          kind: 'commit',
          stream: { type: 'T', key: id },
          head: noHead,
          author: { epoch: 1, owner: 'o' },
          draft: { id, at: 1, events: [{ name: 'E', schema: 1, data: { id } }], metadata: { trace: id }, outbox: [id] },
        }),
      );
    const bodies = ['one', 'two', 'three'].map(write);
    const commits = bodies.map((body, i) => reader.read({ sequence: i + 1, body }));
    expect(commits.map((commit) => [commit.id, commit.metadata.trace, commit.notes().outbox, commit.events[0]?.id])).toEqual(
      ['one', 'two', 'three'].map((id) => [id, id, [id], `${id}-0`]),
    );
  });

  test('of another form is refused with both numbers', () => {
    const body = encode([2, 'something new']);
    expect(() => reader.read({ sequence: 5, body })).toThrow('has the form 2, and this version reads the form 1');
  });

  test('of bytes that somebody changed is read or refused, never anything else', () => {
    const whole12 = writer.write({
      kind: 'commit',
      stream: { type: 'Account', key: 'alice' },
      head: { ...noHead, version: 5, hash: 'abc' },
      author: { epoch: 1_764_000_000_000, owner: 'n1/a' },
      draft: {
        id: 'id',
        at: 5,
        events: [1n, 2n].map((amount) => ({ name: 'Deposited', schema: 1, data: { amount } })),
        metadata: { trace: 't' },
        reply: { idempotencyKey: 'k', method: 'm', caller: 'c', outcome: 1 },
        reminders: [{ name: 'r', reminder: 1 }],
      },
    });
    let readable = 0;
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(whole12.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        fc.nat(3),
        (changes, cut) => {
          const body = new Uint8Array(whole12.subarray(0, whole12.length - cut));
          for (const [at, value] of changes) if (at < body.length) body[at] = value;
          try {
            const commit = reader.read({ sequence: 1, body });
            seen(commit);
            readable += 1;
          } catch (thrown) {
            expect(thrown).toBeInstanceOf(PerkeyError);
            expect((thrown as PerkeyError).code).toMatch(/^(stream\.corrupt|payload\.\w+)$/);
          }
        },
      ),
      { numRuns: 20_000 },
    );
    expect(readable).toBeGreaterThan(500);
  });

  test('that claims more than it has costs nothing', () => {
    for (const claim of [
      encode([1, 0, 'T', 'k', 5, 1, 'o', 'i', 0, '', Array.from({ length: 1_001 }, () => ['E', 1, 1]), null], commitLimits),
      encode([
        1,
        0,
        'T',
        'k',
        1,
        1,
        'o',
        'i',
        0,
        '',
        [
          ['E', 1, 1],
          ['E', 1, 1],
        ],
        null,
      ]),
      encode([1, 0, 'T', 'k', -1, 1, 'o', 'i', 0, '', [], null]),
      encode([1, 0, 'T', 'k', 2 ** 60, 1, 'o', 'i', 0, '', [], null]),
      encode([1, 9, 'T', 'k', 1, 1, 'o', 'i', 0, '', [], null]),
      encode([1, 0, 'T', 'k', 1, 1, 'o', 'i', 'now', '', [], null]),
      encode([1, 0, 'T', 'k', 1, 1, 'o', 'i', 0, '', [['E', 1]], null]),
      encode({ format: 1 }),
      Uint8Array.of(0xdc, 0xff, 0xff, 1, 0),
      new Uint8Array(0),
    ]) {
      expect(() => reader.read({ sequence: 1, body: claim })).toThrow(expect.objectContaining({ code: 'stream.corrupt' }) as Error);
    }
  });
});

test('positions rise with sequence and index, and reads begin where nothing is left out', () => {
  const order = [positionOf(1, 0), positionOf(1, 999), positionAfter(1), positionOf(2, 0), positionAfter(2)];
  expect(order).toEqual(order.toSorted((a, b) => a - b));
  expect([0, ...order].map(sequenceBefore)).toEqual([0, 0, 0, 1, 1, 2]);
  expect(Number.isSafeInteger(positionAfter(2 ** 42))).toBe(true);
});
