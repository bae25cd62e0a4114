import { expect, test } from 'vitest';
import { PerkeyError } from '../base/errors.ts';
import type { CallOptions } from '../contract/calls.ts';
import { decodeControlFrame, frameKind } from './frame.ts';
import { requestsIn, RouterFixture } from '../testkit/router-fixture.ts';

const moved = (details: object = {}): PerkeyError => new PerkeyError('shard.moved', 'not mine', { details: { ...details } });

test('a call goes to the owner of its shard with its epoch and what is left of its time, and gets the answer', async () => {
  const world = new RouterFixture();
  world.own('a', 7);
  const call = world.call('k', { n: 1 }, { timeoutMs: 3_000, headers: { traceparent: '00-1-2-01', other: 'x' } });
  const request = await world.sentOne();
  expect(request).toMatchObject({ to: 'node/a/1-a', epoch: 7, remainingMs: 3_000, method: 'm', key: 'k', input: { n: 1 } });
  expect(request.headers).toEqual({ traceparent: '00-1-2-01', other: 'x' });
  world.router.onOk(request.id, 5, 0);
  await world.clock.settle();
  expect([call.state, call.value, world.router.inFlight]).toEqual(['ok', 5, 0]);
});

test('a call that was cancelled after it was put into a frame is not told as never executed', async () => {
  const world = new RouterFixture();
  world.own('a', 7);
  const abort = new AbortController();
  const call = world.call('k', 1, { signal: abort.signal });
  abort.abort();
  const left = await world.sent();
  expect([call.told, left.length]).toEqual(['request.aborted unknown', 1]);
  expect(world.router.inFlight).toBe(0);
});

test('nodes are told of cancelled calls once per turn of the event loop, after the calls themselves', async () => {
  const world = new RouterFixture({ settings: { inFlightMax: 5_000 } });
  world.own('a', 7);
  const abort = new AbortController();
  const calls = Array.from({ length: 1_000 }, (_, i) => world.call(`k${i}`, i, { signal: abort.signal }));
  await world.clock.settle();
  const early = world.link.frames.splice(0).flatMap(requestsIn);
  calls.push(...Array.from({ length: 200 }, (_, i) => world.call(`late${i}`, i, { signal: abort.signal })));
  abort.abort();
  await world.clock.settle();
  const kinds = world.link.frames.map(({ frame }) => frame[3]);
  expect(kinds).toEqual([frameKind.request, frameKind.request, frameKind.cancel, frameKind.cancel, frameKind.cancel]);
  const late = world.link.frames.slice(0, 2).flatMap(requestsIn);
  const cancelled = world.link.frames.slice(2).flatMap(({ frame }) => {
    const control = decodeControlFrame(frame);
    return 'problem' in control ? [] : (control.value as number[]);
  });
  expect(cancelled).toEqual([...early, ...late].map(({ id }) => id));
  expect(new Set(calls.map(({ told }) => told))).toEqual(new Set(['request.aborted unknown']));
});

test('a connection that throws while calls are cancelled harms nobody', async () => {
  const world = new RouterFixture();
  world.own('a', 7);
  const abort = new AbortController();
  const call = world.call('k', 1, { signal: abort.signal });
  await world.sent();
  world.link.throwsNext = new Error('closed');
  abort.abort();
  await world.clock.settle();
  expect([call.told, world.router.inFlight]).toEqual(['request.aborted unknown', 0]);
});

test('a call whose deadline passed before its frame left is not told as never executed', async () => {
  const world = new RouterFixture();
  world.own('a', 7);
  // The clock of the process is frozen in the very turn in which the call is made, and timers come first when it goes on.
  const call = world.call('k', 1, { timeoutMs: 50 });
  const expired = new Promise<void>((resolve) => world.clock.setTimer(50, resolve));
  void expired;
  world.clock.freeze();
  await world.clock.advance(100);
  world.clock.thaw();
  const left = await world.sent();
  if (call.error?.executed === 'no') expect(left).toEqual([]);
  expect(call.state).not.toBe('waiting');
});

test('nothing leaves after the router was closed', async () => {
  const world = new RouterFixture();
  world.own('a', 7);
  const sent = world.call('k1', 1);
  await world.sent();
  const unsent = world.call('k2', 2);
  world.router.close();
  expect(await world.sent()).toEqual([]);
  expect([sent.told, unsent.told]).toEqual(['link.lost unknown', 'client.closed no']);
  expect(world.router.inFlight).toBe(0);
  expect(world.call('k3').state).toBe('waiting');
  await world.clock.settle();
  expect(world.clock.pending).toBe(0);
});

test.each([
  ['a name that no node can have', { owner: 'b..>', incarnation: '1-b', epoch: 8 }],
  ['an incarnation that none can have', { owner: 'b', incarnation: '*', epoch: 8 }],
  ['an epoch that is no number', { owner: 'b', incarnation: '1-b', epoch: Number.NaN }],
  ['an epoch that is not whole', { owner: 'b', incarnation: '1-b', epoch: 8.5 }],
  ['an endless epoch', { owner: 'b', incarnation: '1-b', epoch: Number.POSITIVE_INFINITY }],
])('a refusal that names an owner with %s teaches nothing', async (_what, details) => {
  const world = new RouterFixture();
  world.own('a', 7);
  const call = world.call('k');
  const request = await world.sentOne();
  world.router.onError(request.id, moved(details));
  await world.clock.advance(50);
  expect(await world.sentOne()).toMatchObject({ to: 'node/a/1-a', epoch: 7 });
  expect(call.state).toBe('waiting');
});

test('an answer to an attempt that is given up answers nothing', async () => {
  const world = new RouterFixture();
  world.own('a', 7);
  const call = world.call('k');
  const first = await world.sentOne();
  world.router.onError(first.id, moved({ owner: 'b', incarnation: '1-b', epoch: 8 }));
  const second = await world.sentOne();
  world.router.onOk(first.id, 'late', 0);
  world.router.onOk(999_999, 'never asked', 0);
  world.router.onError(0, new PerkeyError('handler.failed', 'never asked'));
  expect(second.id).not.toBe(first.id);
  world.router.onOk(second.id, 'right', 0);
  await world.clock.settle();
  expect(call.value).toBe('right');
});

test('a host that throws ends only its own call, and the shard goes on', async () => {
  const world = new RouterFixture({
    admit: (_shard, request) => {
      if (request.input === 1) throw new Error('a defect');
      request.reply.ok(request.id, request.input, 0);
    },
  });
  world.own('self', 7);
  const broken = world.call('k', 1);
  const fine = world.call('k', 2);
  await world.clock.settle();
  expect([broken.error?.executed, fine.state, world.router.inFlight]).toEqual(['unknown', 'ok', 0]);
});

test.each(['', '\ud800', 'a\udc00b', 'x'.repeat(101), 'ä'.repeat(51), 5, undefined, null, {}])('%o is no key', async (key) => {
  const world = new RouterFixture();
  world.own('a', 7);
  const call = world.call(key as string);
  expect(() => world.router.notify('t', 'm', key as string, 1)).toThrow(PerkeyError);
  expect(await world.sent()).toEqual([]);
  expect([call.told, world.router.inFlight]).toEqual(['key.invalid no', 0]);
});

test.each([Number.NaN, 0, -5, Number.NEGATIVE_INFINITY, '5', null])('%o is no timeout', async (timeoutMs) => {
  const world = new RouterFixture();
  world.own('a', 7);
  const call = world.call('k', 1, { timeoutMs: timeoutMs as number });
  expect(await world.sent()).toEqual([]);
  expect([call.told, world.router.inFlight]).toEqual(['options.invalid no', 0]);
});

test.each([Number.POSITIVE_INFINITY, 1e15])('a timeout of %d ms waits long and not busily', async (timeoutMs) => {
  const world = new RouterFixture();
  world.own('a', 7);
  const delays: number[] = [];
  const setTimer = world.clock.setTimer.bind(world.clock);
  world.clock.setTimer = (delayMs, run) => {
    delays.push(delayMs);
    return setTimer(delayMs, run);
  };
  const call = world.call('k', 1, { timeoutMs });
  await world.clock.advance(3_600_000);
  expect(call.state).toBe('waiting');
  expect(Math.max(...delays)).toBeLessThan(2 ** 31);
  expect(delays.length).toBeLessThan(200);
});

test('a call whose time is over is not sent', async () => {
  const world = new RouterFixture();
  world.own('a', 7);
  const call = world.call('k', 1, { deadline: world.clock.now() });
  const none = world.call('k', 1, { deadline: Number.NaN });
  expect(await world.sent()).toEqual([]);
  expect([call.told, none.told]).toEqual(['request.expired no', 'options.invalid no']);
});

test('calls end by their deadlines, wherever they wait', async () => {
  const world = new RouterFixture({ shards: 0 });
  const unrouted = world.call('k', 1, { timeoutMs: 100 });
  await world.clock.advance(50);
  world.know(4);
  const held = world.call('k', 2, { timeoutMs: 100 });
  await world.clock.advance(200);
  world.own('a', 7);
  const sent = world.call('k', 3, { timeoutMs: 100 });
  await world.clock.advance(200);
  expect([unrouted.told, held.told, sent.told]).toEqual(['shard.no_owner no', 'shard.no_owner no', 'deadline.exceeded unknown']);
  expect((await world.sent()).map(({ input }) => input)).toEqual([3]);
  expect(world.router.inFlight).toBe(0);
});

test('an idempotency key that names nothing is refused, since every call with it would be a repeat of the first', async () => {
  const world = new RouterFixture();
  world.own('a', 7);
  const empty = world.call('k', 1, { idempotencyKey: '' });
  const number = world.call('k', 1, { idempotencyKey: 5 as never });
  await world.clock.settle();
  expect([empty.told, number.told]).toEqual(['options.invalid no', 'options.invalid no']);
  expect(empty.error?.message).toBe('idempotencyKey is empty, but must be a text that names the request, or be left out');
});

test('a call that nobody took says what its caller knows of the cause', async () => {
  const world = new RouterFixture({ shards: 0 });
  const unrouted = world.call('k', 1, { timeoutMs: 100 });
  await world.clock.advance(200);
  world.know(4);
  const unowned = world.call('k', 2, { timeoutMs: 100 });
  await world.clock.advance(200);
  world.link.up = false;
  const cutOff = world.call('k', 3, { timeoutMs: 100 });
  await world.clock.advance(200);
  const said = [unrouted, unowned, cutOff].map(({ error }) =>
    error?.message.replace(/^no node took the shard of \S+ before its deadline/, ''),
  );
  const unheard = '; no node of the cluster has answered: check that nodes run, and that its name and the server are theirs';
  expect(said).toEqual([unheard, '', "; the caller's own connection is down"]);
});

test('what is held back and cancelled is forgotten at once', async () => {
  const world = new RouterFixture({ settings: { inFlightMax: 100 } });
  for (let round = 0; round < 5; round += 1) {
    const abort = new AbortController();
    const calls = Array.from({ length: 100 }, (_, i) => world.call(`k${i}`, i, { signal: abort.signal, timeoutMs: 1e9 }));
    expect(world.call('one more').state).toBe('waiting');
    expect(world.router.inFlight).toBe(100);
    abort.abort();
    await world.clock.settle();
    expect(new Set(calls.map(({ told }) => told))).toEqual(new Set(['request.cancelled no']));
    expect(world.router.inFlight).toBe(0);
  }
});

test('a connection that throws while a target is given up ends its calls as lost', async () => {
  const world = new RouterFixture();
  world.own('a', 7);
  const call = world.call('k', 1);
  await world.sent();
  world.link.throwsNext = new Error('closed');
  world.gone('a');
  await world.clock.settle();
  expect(call.told).toBe('node.lost unknown');
});

test('a connection that throws ends its calls as unknown, and counts right afterwards', async () => {
  const world = new RouterFixture();
  world.own('a', 7);
  world.link.throwsNext = new Error('closed');
  const thrown = world.call('k', 1);
  const repeated = world.call('k2', 2, { idempotent: true });
  expect(await world.sent()).toEqual([]);
  expect([thrown.told, repeated.state]).toEqual(['link.lost unknown', 'waiting']);
  await world.clock.advance(100);
  const again = await world.sentOne();
  world.router.onUndeliverable(again.token);
  await world.clock.advance(100);
  expect((await world.sentOne()).input).toBe(2);
});

test('a type that no node hosts is refused at once, also for calls that were made before anything was known', async () => {
  const world = new RouterFixture({ shards: 0 });
  const early = world.call('k');
  world.routes.setTypes(new Set(['other']));
  world.know(4);
  world.own('a', 7);
  const late = world.call('k');
  expect(await world.sent()).toEqual([]);
  expect([early.told, late.told]).toEqual(['actor.unknown_type no', 'actor.unknown_type no']);
});

test('an input that cannot travel, or is too large, is refused and leaves nothing behind', async () => {
  const world = new RouterFixture();
  world.own('a', 7);
  const abort = new AbortController();
  const options = { signal: abort.signal };
  const calls = [world.call('k', () => 1, options), world.call('k', 'x'.repeat(20_000), options)];
  await world.clock.settle();
  expect(calls.map(({ told }) => told)).toEqual(['payload.not_plain no', 'payload.too_large no']);
  expect([await world.sent(), world.router.inFlight]).toEqual([[], 0]);
});

test('settings that are none are refused by name, also without a handle', async () => {
  const world = new RouterFixture();
  world.own('a', 7);
  const misspelt = { timeoutMS: 5 } as CallOptions;
  const calls = [world.call('k', 1, misspelt), world.call('k', 1, { headers: { a: 1 as unknown as string } })];
  expect(() => world.router.notify('t', 'm', 'k', 1, misspelt)).toThrow(expect.objectContaining({ code: 'options.invalid' }) as Error);
  expect([await world.sent(), world.router.inFlight]).toEqual([[], 0]);
  expect(calls.map(({ told }) => told)).toEqual(['options.invalid no', 'options.invalid no']);
  expect(calls[0]!.error!.details).toEqual({ option: 'timeoutMS', near: 'timeoutMs' });
});

test('a notify is counted when it is certainly lost, and is never an unhandled rejection', async () => {
  const world = new RouterFixture({ settings: { requestTimeoutMs: 100 } });
  world.router.notify('t', 'm', 'k', 1);
  await world.clock.advance(200);
  const lost = world.metrics.snapshot().find(({ name }) => name === 'perkey_cluster_notifies_lost_total');
  expect(lost?.series[0]).toMatchObject({ value: 1 });
  expect(world.router.inFlight).toBe(0);
});

test('the timers of a router with nothing to do run out', async () => {
  const world = new RouterFixture({ settings: { requestTimeoutMs: 100 } });
  world.own('a', 7);
  for (let i = 0; i < 100; i += 1) world.call(`k${i}`);
  for (const { id } of await world.sent()) world.router.onOk(id, 1, 0);
  await world.clock.advance(200);
  expect([world.router.inFlight, world.clock.pending]).toEqual([0, 0]);
});

test('when the connection of an owner was made anew, what it does not answer soon is told as unknown, or sent again where that does no harm', async () => {
  const world = new RouterFixture();
  world.own('a', 7);
  const [first, second, third] = world.keysBeside('k', 3) as [string, string, string];
  const lost = world.call(first, 1, { timeoutMs: 60_000 });
  const answered = world.call(second, 2);
  const repeated = world.call(third, 3, { idempotencyKey: 'once' });
  const sent = await world.sent();
  const { target } = world.routes.get(0)!;
  world.routes.noteLinks(target, 1);
  // What is sent from now on goes over the new connection.
  const later = world.call(first, 4, { timeoutMs: 60_000 });
  const [onTheNew] = await world.sent();
  world.router.onOk(sent[1]!.id, 'done', 0);
  await world.clock.advance(249);
  expect([lost.state, answered.state, repeated.state, later.state]).toEqual(['waiting', 'ok', 'waiting', 'waiting']);
  await world.clock.advance(1);
  expect([lost.told, repeated.state, later.state]).toEqual(['link.lost unknown', 'waiting', 'waiting']);
  world.router.onOk(onTheNew!.id, 'done', 0);
  await world.clock.advance(100);
  expect(later.state).toBe('ok');
  const [again] = await world.sent();
  world.router.onOk(again!.id, 'done', 0);
  await world.clock.settle();
  expect([again!.input, repeated.state]).toEqual([3, 'ok']);
  // The same news again tells nothing new.
  const next = world.call(first, 5);
  await world.sent();
  world.routes.noteLinks(target, 1);
  await world.clock.advance(1_000);
  expect(next.state).toBe('waiting');
});
