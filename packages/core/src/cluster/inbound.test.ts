import { expect, test } from 'vitest';
import { Decoder } from '../base/decoder.ts';
import { PerkeyError } from '../base/errors.ts';
import { shardOf } from '../base/hash.ts';
import { MetricsRegistry } from '../base/metrics-registry.ts';
import { seededRandom } from '../base/random.ts';
import type { InboundRequest } from '../contract/calls.ts';
import { plainVia, type Via } from '../contract/transport.ts';
import { requestFrame } from '../testkit/request-frame.ts';
import { VirtualClock } from '../testkit/virtual-clock.ts';
import { requestFlag, RequestTailEncoder } from './envelope.ts';
import { encodeControlFrame, frameKind, headerOnlyFrame } from './frame.ts';
import { FrameBatcher } from './frame-batcher.ts';
import { Inbound } from './inbound.ts';
import { type ShardRecord, shardKey } from './records.ts';
import { ReplyReader } from './reply-envelope.ts';
import type { Router } from './router.ts';
import { ShardTable } from './shard-table.ts';

const shards = 4;
const self = { nodeId: 'a', incarnation: '1-a' };
const tails = new RequestTailEncoder(10_000);
const shard = shardOf('k', shards);

/** The inbound side of node `a`, which serves nothing until it is told to. */
function world() {
  const clock = new VirtualClock();
  const metrics = new MetricsRegistry();
  const admitted: InboundRequest[] = [];
  const cancelled: number[] = [];
  const answers: string[] = [];
  const details: unknown[] = [];
  const events: string[] = [];
  const lines: object[] = [];
  const log = {
    debug() {},
    info() {},
    warn: (fields: object) => void lines.push(fields),
    error: (fields: object) => void lines.push(fields),
  };
  const epochs = new Map<number, number>();
  const leaving = new Map<number, number>();
  const hooks: { admit: (request: InboundRequest) => void } = { admit: () => {} };
  const table = new ShardTable(
    shards,
    () => {},
    () => {},
  );
  const decoder = new Decoder();
  const replies = new FrameBatcher({
    ...{ kind: frameKind.reply, clock, frameBytesMax: 4_096 },
    send: (to, frame) => {
      const reader = new ReplyReader(frame, decoder);
      while (reader.next()) {
        const error = reader.ok ? undefined : reader.error();
        answers.push(`${to} ${reader.id} ${error ? `${error.code} ${error.executed}` : JSON.stringify(reader.value())}`);
        details.push(error?.details);
      }
    },
  });
  const router = {
    onOk: (id: number, value: unknown) => void events.push(`ok ${id} ${JSON.stringify(value)}`),
    onError: (id: number, error: PerkeyError) => void events.push(`error ${id} ${error.code}`),
  } as unknown as Router;
  const inbound = new Inbound({
    ...{ clock, metrics, router, replies, table, self, log },
    host: {
      admit: (_shard, request) => {
        hooks.admit(request);
        admitted.push(request);
      },
      cancel: (chosen) => cancelled.push(...admitted.filter(chosen).map(({ id }) => id)),
      admitTogether: (all) => all(),
      isLeaving: () => false,
      leavingEpoch: (of) => leaving.get(of),
    },
    epochOf: (of) => epochs.get(of),
    answerAsk: (from) => void events.push(`ask ${from}`),
    onTransfer: () => events.push('transfer') > 0,
    onTransferAck: () => events.push('ack') > 0,
  });
  const open = (epoch: number, of = shard): void => {
    epochs.set(of, epoch);
    inbound.opened(of, epoch);
  };
  const close = (of = shard): void => void epochs.delete(of);
  const record = (change: Partial<ShardRecord>, revision: number): void =>
    table.onRecord({
      key: shardKey(shard),
      value: JSON.stringify({ nodeId: 'b', incarnation: '1-b', shard, epoch: 7, state: 'owned', ...change }),
      revision,
    });
  const take = async (frame: Uint8Array, from = 'caller', at: Via['at'] = 'node'): Promise<void> => {
    inbound.take(frame, from, plainVia[at]);
    frame.fill(0xff);
    await clock.settle();
  };
  const inputs = (): unknown[] => admitted.map(({ input }) => input);
  const bad = (): Record<string, number> =>
    Object.fromEntries(
      (metrics.snapshot().find(({ name }) => name === 'perkey_cluster_bad_frames_total')?.series ?? []).map((one) => [
        one.labels['problem'],
        'value' in one ? one.value : 0,
      ]),
    );
  return { leaving, clock, inbound, admitted, cancelled, inputs, answers, details, events, lines, hooks, open, close, record, take, bad };
}

test('a request under the right epoch is admitted with its deadline, and its answer goes to where it came from', async () => {
  const { open, take, admitted, answers, clock } = world();
  open(7);
  const now = clock.now();
  await take(requestFrame({ id: 5, input: { n: 1 } }, { id: 6, remainingMs: 0 }));
  expect(admitted).toHaveLength(1);
  expect(admitted[0]).toMatchObject({ id: 5, type: 't', method: 'm', key: 'k', input: { n: 1 }, deadline: now + 1_000 });
  admitted[0]!.reply.ok(5, { done: true }, now);
  await clock.settle();
  expect(answers).toEqual(['caller 6 request.expired no', 'caller 5 {"done":true}']);
});

test('a shard on its way out takes under its epoch what a node says is awaited, and what a client says so of is refused', async () => {
  const { open, close, leaving, take, admitted, answers } = world();
  open(7);
  close();
  leaving.set(shard, 7);
  const flags = requestFlag.awaited;
  await take(requestFrame({ id: 1, flags }, { id: 2 }, { id: 3, flags, epoch: 6 }), 'caller', 'peer');
  await take(requestFrame({ id: 4, flags }));
  expect(admitted.map(({ id }) => id)).toEqual([1]);
  expect(answers).toEqual([2, 3, 4].map((id) => `caller ${id} shard.moved no`));
});

test('a request under another epoch is refused with the owner that is known', async () => {
  const { open, take, record, admitted, answers, details } = world();
  record({ epoch: 9 }, 2);
  await take(requestFrame({ id: 1, epoch: 7 }));
  open(11);
  await take(requestFrame({ id: 2, epoch: 10 }, { id: 3, epoch: Number.NaN }, { id: 4, epoch: -1 }, { id: 5, epoch: 11.5 }));
  expect(admitted).toEqual([]);
  expect(answers).toEqual([1, 2, 3, 4, 5].map((id) => `caller ${id} shard.moved no`));
  expect(details[0]).toEqual({ owner: 'b', incarnation: '1-b', epoch: 9 });
  expect(details.slice(1)).toEqual([{}, {}, {}, {}]);
});

test('a node does not send callers to itself while it does not serve', async () => {
  const { open, close, take, record, answers, details } = world();
  open(7);
  record({ ...self, epoch: 7 }, 2);
  close();
  await take(requestFrame({ id: 1, epoch: 7 }));
  expect([answers, details]).toEqual([['caller 1 shard.moved no'], [{}]]);
});

test('requests that come before the answer to the claim wait for it, in order', async () => {
  const { open, take, record, inputs, answers, clock, hooks } = world();
  record({ epoch: 6 }, 1);
  await take(requestFrame({ id: 1, input: 1 }, { id: 2, input: 2 }));
  record({ ...self, epoch: 7 }, 2);
  await take(requestFrame({ id: 3, input: 3 }));
  expect([inputs(), answers]).toEqual([[], []]);
  hooks.admit = (request) => {
    if (request.input === 2) throw new Error('a defect');
  };
  open(7);
  await take(requestFrame({ id: 4, input: 4 }));
  expect(inputs()).toEqual([1, 3, 4]);
  expect(answers).toEqual(['caller 2 turn.abandoned unknown']);
  await clock.advance(200);
  expect(clock.pending).toBeLessThanOrEqual(1);
});

type World = ReturnType<typeof world>;
const endings: readonly (readonly [string, (at: World) => void | Promise<void>])[] = [
  ['the claim was won by another node', ({ record }) => record({ epoch: 7, nodeId: 'c', incarnation: '1-c' }, 2)],
  ['a later epoch is known', ({ record }) => record({ epoch: 8 }, 2)],
  ['the shard is opened under another epoch', ({ open }) => open(8)],
  ['nothing comes for a second', ({ clock }) => clock.advance(1_000)],
  ['the node leaves', ({ inbound }) => inbound.stop()],
];

test.each(endings)('requests that came too early are refused when %s', async (_what, happens) => {
  const at = world();
  at.record({ epoch: 6 }, 1);
  await at.take(requestFrame({ id: 1, remainingMs: 5_000 }, { id: 2, remainingMs: 5_000 }));
  await happens(at);
  await at.clock.advance(60);
  expect([at.admitted.length, at.answers]).toEqual([0, ['caller 1 shard.moved no', 'caller 2 shard.moved no']]);
  expect(at.clock.pending).toBeLessThanOrEqual(1);
});

test('an early request whose time is over when the shard opens does not start', async () => {
  const { open, take, admitted, answers, clock } = world();
  await take(requestFrame({ id: 1, remainingMs: 30 }, { id: 2, remainingMs: 500 }));
  await clock.advance(40);
  open(7);
  await clock.settle();
  expect([admitted.map(({ id }) => id), answers]).toEqual([[2], ['caller 1 request.expired no']]);
});

test('a request that comes after later ones of its caller, over a connection that it has lost, is not executed (I6)', async () => {
  const { open, take, admitted, answers, clock } = world();
  open(7);
  await take(requestFrame({ id: 5 }, { id: 6 }));
  await take(requestFrame({ id: 3 }, { id: 7 }));
  await take(requestFrame({ id: 4 }), 'another caller');
  expect(admitted.map(({ id }) => id)).toEqual([5, 6, 7, 4]);
  await clock.settle();
  expect(answers).toEqual(['caller 3 request.expired no']);
  // Ids begin anew.
  const last = 2 ** 30 - 1;
  await take(requestFrame({ id: last }, { id: 1 }, { id: last - 1 }), 'old caller');
  expect(admitted.slice(4).map(({ id }) => id)).toEqual([last, 1]);
});

test('an epoch that was served here once is never early again', async () => {
  const { open, close, take, answers } = world();
  open(7);
  close();
  await take(requestFrame({ id: 1, epoch: 7 }));
  expect(answers).toEqual(['caller 1 shard.moved no']);
});

test('early requests are bounded', async () => {
  const { take, answers } = world();
  for (let i = 0; i < 42; i += 1)
    await take(requestFrame(...Array.from({ length: 100 }, (_, j) => ({ id: i * 100 + j + 1, epoch: 2 ** 52 }))));
  expect(answers).toHaveLength(4_200 - 4_096);
});

test('a key under the number of another shard is refused: it could be active on two nodes', async () => {
  const { open, take, admitted, answers } = world();
  const other = (shard + 1) % shards;
  open(7, other);
  await take(requestFrame({ id: 1, shard: other }, { id: 2, shard: 60_000 }));
  expect([admitted.length, answers]).toEqual([0, ['caller 1 request.malformed no', 'caller 2 shard.moved no']]);
});

test('a request that cannot be read costs only itself', async () => {
  const { open, take, inputs, answers, bad } = world();
  open(7);
  await take(requestFrame({ id: 1, input: 1 }, { id: 2, tail: Uint8Array.of(0xc1) }, { id: 3, input: 3 }));
  expect([inputs(), answers, bad()]).toEqual([[1, 3], ['caller 2 request.malformed no'], { envelope: 1 }]);
});

test('nothing that arrives throws, and none of it is logged with its content', async () => {
  const { open, take, bad, lines, clock } = world();
  open(7);
  const random = seededRandom(11);
  const good = (): Uint8Array => requestFrame({ id: 1, input: 'secret content' }, { id: 2, input: ['secret content'] });
  for (let i = 0; i < 3_000; i += 1) {
    const frame =
      random.next() < 0.3 ? Uint8Array.from({ length: Math.floor(random.next() * 60) }, () => Math.floor(random.next() * 256)) : good();
    const flips = Math.floor(random.next() * 4);
    for (let flip = 0; flip < flips; flip += 1) frame[Math.floor(random.next() * frame.length)] = Math.floor(random.next() * 256);
    const cut = frame.subarray(0, random.next() < 0.3 ? Math.floor(random.next() * frame.length) : frame.length);
    await take(cut.slice(), random.next() < 0.5 ? 'caller' : '');
  }
  expect(Object.keys(bad()).sort()).toEqual(expect.arrayContaining(['envelope', 'kind', 'magic', 'truncated', 'version']));
  expect(JSON.stringify(lines)).not.toContain('secret');
  expect(lines.length).toBeLessThan(200);
  await clock.advance(2_000);
});

test('who takes no answers gets none, and its requests are executed', async () => {
  const { open, take, admitted, answers, clock } = world();
  open(7);
  await take(requestFrame({ id: 1 }, { id: 2, epoch: 3 }), '');
  admitted[0]!.reply.ok(1, 'done', 0);
  await clock.settle();
  expect([admitted.length, answers]).toEqual([1, []]);
});

test('a frame of more envelopes than anybody sends is read up to the limit, so that it holds up nobody', async () => {
  const { open, take, admitted, bad } = world();
  open(7);
  await take(requestFrame(...Array.from({ length: 4_096 }, (_, id) => ({ id }))));
  expect([admitted.length, bad()]).toEqual([4_096, {}]);
  await take(requestFrame(...Array.from({ length: 5_000 }, (_, i) => ({ id: 4_096 + i }))));
  expect([admitted.length, bad()]).toEqual([8_192, { envelope: 1 }]);
});

test('an answer that cannot travel is told as executed', async () => {
  const { open, take, admitted, answers, clock } = world();
  open(7);
  await take(requestFrame({ id: 1 }, { id: 2 }, { id: 3 }));
  admitted[0]!.reply.ok(1, 'x'.repeat(10_000), 0);
  admitted[1]!.reply.ok(2, () => 1, 0);
  admitted[2]!.reply.ok(3, 'fine', 0);
  await clock.settle();
  expect(answers).toEqual(['caller 1 reply.too_large yes', 'caller 2 reply.not_plain yes', 'caller 3 "fine"']);
});

test('requests are cancelled by their own caller only, and also while they are early', async () => {
  const { open, take, cancelled, admitted, answers, bad } = world();
  open(7);
  const cancel = (ids: unknown): Uint8Array => encodeControlFrame(frameKind.cancel, ids);
  await take(requestFrame({ id: 1 }, { id: 2 }, { id: 3, epoch: 9 }, { id: 4, epoch: 9 }));
  await take(cancel([1, 4, 77]), 'somebody else');
  await take(cancel([1, 4]), '');
  for (const hostile of [1, null, {}, [{}], ['1'], [Number.NaN]]) await take(cancel(hostile));
  expect([cancelled, bad()]).toEqual([[], { unexpected: 1, body: 3 }]);
  await take(cancel([1, 4, 77]));
  expect([cancelled, answers]).toEqual([[1], ['caller 4 request.cancelled no']]);
  open(9);
  expect(admitted.map(({ id }) => id)).toEqual([1, 2, 3]);
});

test('a request that was read late, since the process stood still, does not start after its deadline', async () => {
  const { open, take, admitted, answers, clock, inbound } = world();
  open(7);
  await clock.advance(200);
  const later = (): void => inbound.take(requestFrame({ id: 1, remainingMs: 700 }, { id: 2, remainingMs: 5_000 }), 'caller', plainVia.node);
  clock.defer(later);
  clock.freeze();
  await clock.advance(1_000);
  clock.thaw();
  await clock.advance(1);
  expect([admitted.map(({ id }) => id), answers]).toEqual([[2], ['caller 1 request.expired no']]);
  expect(admitted[0]!.deadline - clock.now()).toBeLessThan(4_110);
  await clock.advance(100);
  await take(requestFrame({ id: 3, remainingMs: 700 }));
  expect(admitted).toHaveLength(2);
});

test.each([
  ['a request', frameKind.request, ['node', 'peer']],
  ['a reply', frameKind.reply, ['reply']],
  ['a shard on the move', frameKind.handoff, ['peer']],
  ['its acknowledgement', frameKind.handoffAck, ['reply']],
  ['a question for news', frameKind.topologyAsk, ['shared']],
  ['news', frameKind.topology, []],
  ['a cancellation', frameKind.cancel, ['node', 'peer']],
] as const)('%s is taken where it may come from, and nowhere else', async (_, kind, places) => {
  const frames = {
    [frameKind.request]: () => requestFrame({ id: 5 }),
    [frameKind.reply]: () => replyFrame([5]),
    [frameKind.topologyAsk]: () => headerOnlyFrame(frameKind.topologyAsk),
    [frameKind.cancel]: () => encodeControlFrame(frameKind.cancel, [1]),
  } as Record<number, () => Uint8Array>;
  for (const at of ['reply', 'node', 'peer', 'shared'] as const) {
    const { take, events, bad, open, admitted, cancelled } = world();
    open(7);
    if (kind === frameKind.cancel) await take(requestFrame({ id: 1 }));
    const before = admitted.length;
    await take((frames[kind] ?? (() => encodeControlFrame(kind, {})))(), 'caller', at);
    const isTaken = events.length + (admitted.length - before) + cancelled.length > 0;
    expect([at, isTaken, bad()]).toEqual([at, (places as readonly string[]).includes(at), isTaken ? {} : { unexpected: 1 }]);
  }
});

test('a request says no more of its source than is proven', async () => {
  const { inbound, open, admitted } = world();
  open(7);
  const claims = tails.encode('t', 'k', 'm', undefined, undefined, undefined, undefined, 'me', 'alice');
  for (const [at, via] of [plainVia.node, { at: 'node', principal: 'bob' } as const, plainVia.peer].entries()) {
    inbound.take(requestFrame({ id: 2 * at + 1 }, { id: 2 * at + 2, tail: claims }), 'caller', via);
  }
  expect(admitted.map(({ source }) => source)).toEqual([
    ...[
      { origin: 'client', principal: '' },
      { origin: 'client', principal: '' },
    ],
    ...[
      { origin: 'client', principal: 'bob' },
      { origin: 'client', principal: 'bob' },
    ],
    ...[
      { origin: 'node', principal: '' },
      { origin: 'json', principal: 'alice' },
    ],
  ]);
});

function replyFrame(ids: readonly number[]): Uint8Array {
  const frames: Uint8Array[] = [];
  const batcher = new FrameBatcher({
    ...{ kind: frameKind.reply, clock: new VirtualClock(), frameBytesMax: 4_096 },
    send: (_to, frame) => void frames.push(frame),
  });
  for (const id of ids) batcher.reply('x', id, 'abc');
  batcher.flush();
  return frames[0]!;
}

test('a reply that cannot be read ends its own call only', async () => {
  const { take, events, bad } = world();
  const frame = replyFrame([1, 2, 3]);
  // The text of the second answer becomes a text that is longer than the answer.
  frame[4 + 13 + 9] = 0xbf;
  await take(frame, '', 'reply');
  expect(events).toEqual(['ok 1 "abc"', 'error 2 reply.malformed', 'ok 3 "abc"']);
  expect(bad()).toEqual({});
});
