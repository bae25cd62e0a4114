import { expect, test } from 'vitest';
import type { Clock } from '../base/clock.ts';
import { Decoder } from '../base/decoder.ts';
import { PerkeyError } from '../base/errors.ts';
import { RequestReader, RequestTailEncoder, requestPrefixBytes } from './envelope.ts';
import { FrameBatcher } from './frame-batcher.ts';
import type { FrameBatcherOptions } from './frame-batcher.ts';
import { frameHeaderBytes, frameKind, readFrameKind } from './frame.ts';
import { ReplyReader } from './reply-envelope.ts';

interface Sent {
  readonly to: string;
  readonly frame: Uint8Array;
  readonly copy: Uint8Array;
  readonly count: number;
}

class Turn implements Clock {
  readonly deferred: (() => void)[] = [];
  now = (): number => 0;
  wall = (): number => 0;
  setTimer = (): { cancel(): void } => ({ cancel: () => {} });
  defer = (run: () => void): void => {
    this.deferred.push(run);
  };
  end(): void {
    for (const run of this.deferred.splice(0)) run();
  }
}

interface Bench {
  readonly batcher: FrameBatcher;
  readonly turn: Turn;
  readonly sent: Sent[];
}

function make(options: Partial<FrameBatcherOptions> = {}): Bench {
  const turn = new Turn();
  const sent: Sent[] = [];
  const send = (to: string, frame: Uint8Array, count: number): void => {
    sent.push({ to, frame, copy: frame.slice(), count });
  };
  return { turn, sent, batcher: new FrameBatcher({ kind: frameKind.reply, clock: turn, frameBytesMax: 10_000, send, ...options }) };
}

const decoder = new Decoder();
const tails = new RequestTailEncoder(1_000_000);
const tailOf = (input: unknown): Uint8Array => tails.encode('t', 'k', 'm', input, undefined, undefined, undefined, '');
const port = { ok: (): void => {}, error: (): void => {} };

function values({ frame }: Sent): unknown[] {
  expect(readFrameKind(frame)).toBe(frameKind.reply);
  const reader = new ReplyReader(frame, decoder);
  const all: unknown[] = [];
  while (reader.next()) all.push(reader.ok ? reader.value() : reader.error().code);
  expect(reader.truncated).toBe(false);
  return all;
}

function code(run: () => unknown): string {
  try {
    run();
  } catch (thrown) {
    return (thrown as PerkeyError).code;
  }
  return 'none';
}

test('all that one turn of the event loop adds for one place leaves as one frame', () => {
  const { batcher, turn, sent } = make({ kind: frameKind.request });
  for (let id = 1; id <= 3; id += 1) batcher.request('node', id, 10 + id, 1, 100, 2_000, tailOf({ id }));
  expect(sent).toEqual([]);
  expect(turn.deferred).toHaveLength(1);
  turn.end();
  expect(sent).toMatchObject([{ to: 'node', count: 3 }]);
  const reader = new RequestReader(sent[0]!.frame, decoder);
  const seen: unknown[] = [];
  while (reader.next())
    seen.push([reader.id, reader.shard, reader.notify, reader.epoch, reader.remainingMs, reader.request(0, port).input]);
  expect(seen).toEqual([1, 2, 3].map((id) => [id, 10 + id, true, 100, 2_000, { id }]));
  turn.end();
  expect(sent).toHaveLength(1);
});

test('each destination has its frame, in the order in which they were first written to', () => {
  const { batcher, turn, sent } = make();
  for (const [to, id] of [...[['b', 1]], ...[['a', 2]], ...[['b', 3]], ...[['c', 4]], ...[['a', 5]]] as [string, number][])
    batcher.reply(to, id, id);
  expect(turn.deferred).toHaveLength(1);
  turn.end();
  expect(sent.map(({ to, count }) => [to, count])).toEqual([
    ['b', 2],
    ['a', 2],
    ['c', 1],
  ]);
  expect(sent.map(values)).toEqual([[1, 3], [2, 5], [4]]);
});

test('a frame with the most envelopes leaves at once, and the rest at the end of the turn', () => {
  const { batcher, turn, sent } = make({ frameCountMax: 3 });
  for (let id = 1; id <= 7; id += 1) batcher.reply('x', id, id);
  expect(sent.map(values)).toEqual([
    [1, 2, 3],
    [4, 5, 6],
  ]);
  turn.end();
  expect(sent.map(values)).toEqual([[1, 2, 3], [4, 5, 6], [7]]);
});

test('with one envelope per frame nothing is left behind', () => {
  const { batcher, turn, sent } = make({ frameCountMax: 1 });
  for (let id = 0; id < 3; id += 1) batcher.reply(`client-${id}`, id, id);
  expect(sent).toHaveLength(3);
  turn.end();
  expect(sent).toHaveLength(3);
});

test('frames are split by bytes, none is above the limit, and nothing is lost or reordered', () => {
  for (const kind of [frameKind.request, frameKind.reply]) {
    const { batcher, turn, sent } = make({ kind, frameBytesMax: 1_000 });
    const sizes = Array.from({ length: 300 }, (_, i) => (i * 7_919) % 960);
    sizes.forEach((size, id) => {
      const text = 'x'.repeat(size);
      if (kind === frameKind.reply) batcher.reply('x', id, text);
      else batcher.request('x', id, 0, 0, 0, 1, tailOf(text));
    });
    turn.end();
    const seen: number[] = [];
    for (const { frame, count } of sent) {
      expect(frame.length).toBeLessThanOrEqual(1_000);
      const reader = kind === frameKind.reply ? new ReplyReader(frame, decoder) : new RequestReader(frame, decoder);
      const before = seen.length;
      while (reader.next()) {
        const text = reader instanceof ReplyReader ? reader.value() : reader.request(0, port).input;
        expect(text).toBe('x'.repeat(sizes[seen.length]!));
        expect(reader.id).toBe(seen.length);
        seen.push(reader.id);
      }
      expect(seen.length - before).toBe(count);
    }
    expect(seen).toHaveLength(300);
    expect(sent.length).toBeLessThan(300);
  }
});

test('one envelope may fill a whole frame and not one byte more', () => {
  const requests = make({ kind: frameKind.request, frameBytesMax: 500 });
  const room = 500 - frameHeaderBytes - requestPrefixBytes;
  requests.batcher.request('x', 1, 0, 0, 0, 1, new Uint8Array(room));
  expect(code(() => requests.batcher.request('x', 2, 0, 0, 0, 1, new Uint8Array(room + 1)))).toBe('payload.too_large');
  requests.turn.end();
  expect(requests.sent.map(({ frame, count }) => [frame.length, count])).toEqual([[500, 1]]);

  const replies = make({ frameBytesMax: 500 });
  replies.batcher.reply('x', 1, 'first');
  replies.batcher.reply('x', 2, 'x'.repeat(500 - 4 - 9 - 3));
  for (const length of [500 - 4 - 9 - 2, 100_000]) {
    expect(code(() => replies.batcher.reply('x', 3, 'x'.repeat(length)))).toBe('reply.too_large');
  }
  replies.turn.end();
  expect(replies.sent.map(({ frame, count }) => [frame.length, count])).toEqual([
    [4 + 9 + 6, 1],
    [500, 1],
  ]);
});

test('a reply that cannot travel is refused, and its neighbours are untouched', () => {
  const { batcher, turn, sent } = make();
  batcher.reply('x', 1, 'before');
  const error = ((): PerkeyError => {
    try {
      batcher.reply('x', 2, { text: 'y'.repeat(2_000), run: () => 1 });
    } catch (thrown) {
      return thrown as PerkeyError;
    }
    throw new Error('was not refused');
  })();
  expect(error).toMatchObject({ code: 'reply.not_plain', executed: 'yes' });
  expect(error.message).toContain('value.run is a function');
  batcher.replyError('x', 2, error);
  batcher.reply('x', 3, 'after');
  turn.end();
  expect(sent.map(values)).toEqual([['before', 'reply.not_plain', 'after']]);
});

test('a reply whose accessor throws is refused the same way', () => {
  const { batcher, turn, sent } = make();
  const value = {
    get broken(): never {
      throw new TypeError('no');
    },
  };
  expect(code(() => batcher.reply('x', 1, value))).toBe('reply.not_plain');
  turn.end();
  expect(sent).toEqual([]);
});

test('an error travels with its details, or without them where they cannot travel or are too large', () => {
  const { batcher, turn, sent } = make({ frameBytesMax: 1_000 });
  const make1 = (details: Record<string, unknown>, message = 'full'): PerkeyError =>
    new PerkeyError('mailbox.full', message, { details, retryAfterMs: 5 });
  batcher.replyError('x', 1, make1({ waiting: 10 }));
  batcher.replyError('x', 2, make1({ run: () => 1 }));
  batcher.replyError('x', 3, make1({ text: 'x'.repeat(2_000) }, 'm'.repeat(5_000)));
  turn.end();
  const seen: unknown[] = [];
  for (const { frame } of sent) {
    const reader = new ReplyReader(frame, decoder);
    while (reader.next()) {
      const { code: errorCode, details, retryAfterMs, message } = reader.error();
      seen.push([reader.id, errorCode, details, retryAfterMs, message.length]);
    }
  }
  expect(seen).toEqual([
    [1, 'mailbox.full', { waiting: 10 }, 5, 4],
    [2, 'mailbox.full', {}, 5, 4],
    [3, 'mailbox.full', {}, 5, 512],
  ]);
});

test('while the owner may not answer everything stays, and leaves in order when it may again', () => {
  let allowed = false;
  const { batcher, turn, sent } = make({ frameCountMax: 2, mayFlush: () => allowed });
  for (let id = 1; id <= 5; id += 1) batcher.reply('x', id, id);
  batcher.reply('y', 6, 6);
  turn.end();
  batcher.flush();
  expect(sent).toEqual([]);
  batcher.reply('x', 7, 7);
  turn.end();
  expect(sent).toEqual([]);
  allowed = true;
  batcher.flush();
  expect(sent.map(({ to }) => to)).toEqual(['x', 'x', 'x', 'y']);
  expect(sent.map(values)).toEqual([[1, 2], [3, 4], [5, 7], [6]]);
  batcher.reply('x', 8, 8);
  turn.end();
  expect(sent.map(values).at(-1)).toEqual([8]);
});

test('the right to answer is asked for right before frames leave', () => {
  const asked: number[] = [];
  let allowed = true;
  const { batcher, turn, sent } = make({
    mayFlush: () => {
      asked.push(sent.length);
      return allowed;
    },
  });
  batcher.reply('x', 1, 1);
  expect(asked).toEqual([]);
  allowed = false;
  turn.end();
  expect(asked).toEqual([0]);
  expect(sent).toEqual([]);
});

test('what waits for a destination can be dropped, held frames too', () => {
  let allowed = false;
  const { batcher, turn, sent } = make({ frameCountMax: 2, mayFlush: () => allowed });
  for (let id = 1; id <= 5; id += 1) batcher.reply('x', id, id);
  batcher.reply('y', 6, 6);
  batcher.drop('x');
  batcher.drop('unknown');
  batcher.reply('x', 7, 7);
  allowed = true;
  batcher.flush();
  turn.end();
  expect(sent.map(({ to }) => to)).toEqual(['y', 'x']);
  expect(sent.map(values)).toEqual([[6], [7]]);
});

test('a frame that was sent is never written to again', () => {
  const { batcher, turn, sent } = make({ frameBytesMax: 5_000, frameCountMax: 40 });
  for (let round = 0; round < 200; round += 1) {
    for (let i = 0; i < (round * 31) % 120; i += 1) batcher.reply(`client-${i % 7}`, i, { round, i, text: 'z'.repeat((i * round) % 300) });
    turn.end();
  }
  expect(sent.length).toBeGreaterThan(1_000);
  for (const { frame, copy } of sent) expect(frame).toEqual(copy);
});

test('an accessor that answers, flushes or drops in the middle of a reply spoils nothing', () => {
  const { batcher, turn, sent } = make({ frameBytesMax: 4_000 });
  let refused = '';
  const value = {
    first: 1,
    get second(): number {
      batcher.reply('x', 2, 'inner'.repeat(300));
      batcher.replyError('y', 3, new PerkeyError('shard.moved', 'moved'));
      refused = code(() => batcher.reply('x', 4, () => 1));
      batcher.flush();
      batcher.drop('nobody');
      return 2;
    },
    third: 'x'.repeat(1_000),
  };
  batcher.reply('x', 1, value);
  batcher.reply('x', 5, 'last');
  turn.end();
  expect(refused).toBe('reply.not_plain');
  expect(sent.map(({ to }) => to)).toEqual(['x', 'y', 'x']);
  expect(sent.map(values)).toEqual([[{ first: 1, second: 2, third: 'x'.repeat(1_000) }, 'inner'.repeat(300)], ['shard.moved'], ['last']]);
});

test('sending may add to the batch again', () => {
  const turn = new Turn();
  const sent: string[] = [];
  const batcher: FrameBatcher = new FrameBatcher({
    kind: frameKind.reply,
    clock: turn,
    frameBytesMax: 1_000,
    send: (to, _frame, count) => {
      sent.push(`${to}:${count}`);
      if (sent.length === 1) batcher.reply('a', 9, 9);
    },
  });
  batcher.reply('a', 1, 1);
  batcher.reply('b', 2, 2);
  turn.end();
  expect(sent).toEqual(['a:1', 'b:1']);
  turn.end();
  expect(sent).toEqual(['a:1', 'b:1', 'a:1']);
});

test('a destination is forgotten with its last frame', () => {
  for (const frameCountMax of [1, 2, 100]) {
    const { batcher, turn } = make({ frameCountMax });
    for (let i = 0; i < 50; i += 1) {
      batcher.reply(`client-${i}`, i, i);
      if (i % 3 === 0) code(() => batcher.reply(`broken-${i}`, i, () => 1));
    }
    turn.end();
    expect(batcher.destinations).toBe(0);
    code(() => batcher.reply('only-broken', 1, () => 1));
    expect(batcher.destinations).toBe(1);
    turn.end();
    expect(batcher.destinations).toBe(0);
  }
});
