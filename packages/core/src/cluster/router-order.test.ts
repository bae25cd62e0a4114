import { expect, test } from 'vitest';
import { PerkeyError } from '../base/errors.ts';
import type { InboundRequest } from '../contract/calls.ts';
import { requestFlag } from './envelope.ts';
import { RouterFixture } from '../testkit/router-fixture.ts';

const moved = (details: object = {}): PerkeyError => new PerkeyError('shard.moved', 'not mine', { details: { ...details } });

test('a refusal of a later attempt does not hide that an earlier one may have been executed', async () => {
  const world = new RouterFixture();
  world.own('a', 7);
  const call = world.call('k', 1, { idempotent: true });
  await world.sentOne();
  await world.linkDown();
  await world.linkUp();
  await world.clock.advance(100);
  const again = await world.sentOne();
  world.router.onError(again.id, new PerkeyError('mailbox.full', 'full', { retryAfterMs: 7 }));
  await world.clock.settle();
  expect(call.told).toBe('mailbox.full unknown');
  expect(call.error?.retryAfterMs).toBe(7);
});

test('a refusal that names the next owner sends the call there at once', async () => {
  const world = new RouterFixture();
  world.own('a', 7);
  world.call('k', 1);
  world.call('k', 2);
  const [first, second] = await world.sent();
  world.router.onError(first!.id, moved({ owner: 'b', incarnation: '1-b', epoch: 8 }));
  expect(await world.sent()).toEqual([]);
  world.router.onError(second!.id, moved());
  expect((await world.sent()).map(({ to, input, epoch }) => [to, input, epoch])).toEqual([
    ['node/b/1-b', 1, 8],
    ['node/b/1-b', 2, 8],
  ]);
});

test('the refusal that names the next owner may be the last one of many', async () => {
  const world = new RouterFixture();
  world.own('a', 7);
  for (const input of [1, 2, 3]) world.call('k', input);
  const [first, second, third] = await world.sent();
  world.router.onError(second!.id, moved());
  world.router.onError(third!.id, moved());
  world.router.onError(first!.id, moved({ owner: 'b', incarnation: '1-b', epoch: 8 }));
  expect((await world.sent()).map(({ input }) => input)).toEqual([1, 2, 3]);
});

test.each([
  ['was not executed', new PerkeyError('request.cancelled', 'taken back'), 'waiting', [1]],
  ['was executed', undefined, 'shard.moved no', []],
  ['is not heard of', 'silence', 'shard.moved no', []],
] as const)(
  'a call that is refused after a later one to its key was given up waits to hear what became of that one: it %s',
  async (_what, heard, told, sentAgain) => {
    const world = new RouterFixture({ settings: { requestTimeoutMs: 10_000 } });
    world.own('a', 7);
    const abort = new AbortController();
    const first = world.call('k', 1);
    world.call('k', 2, { signal: abort.signal, timeoutMs: 3_000 });
    const [one, two] = await world.sent();
    abort.abort();
    world.router.onError(one!.id, moved());
    await world.clock.advance(200);
    expect([first.told, world.router.inFlight, await world.sent()]).toEqual(['waiting', 1, []]);
    if (heard === undefined) world.router.onOk(two!.id, 'late', 0);
    else if (heard !== 'silence') world.router.onError(two!.id, heard);
    await world.clock.advance(heard === 'silence' ? 4_000 : 100);
    const again = (await world.sent()).map(({ input }) => input).filter((input) => input !== undefined);
    expect([first.told, again]).toEqual([told, sentAgain]);
  },
);

test('attempts that nobody waits for count as none in flight, and are forgotten a second after their time', async () => {
  const world = new RouterFixture({ settings: { inFlightMax: 10 } });
  world.own('a', 7);
  for (let round = 0; round < 5; round += 1) {
    const calls = Array.from({ length: 10 }, (_, i) => world.call(`k${i}`, i, { timeoutMs: 50 }));
    await world.clock.advance(60);
    expect([world.router.inFlight, new Set(calls.map(({ told }) => told))]).toEqual([0, new Set(['deadline.exceeded unknown'])]);
  }
  await world.clock.advance(1_200);
  expect(world.clock.pending).toBe(0);
  for (const { id } of await world.sent()) world.router.onOk(id, 'far too late', 0);
  expect(world.router.inFlight).toBe(0);
});

test('a call that a later one to the same key overtook is not sent again: it ends as not executed', async () => {
  const world = new RouterFixture();
  world.own('a', 7);
  const first = world.call('k', 1);
  const other = world.call(world.keysBeside('k', 2)[1]!, 'other');
  const second = world.call('k', 2);
  const [one, beside, two] = await world.sent();
  world.router.onError(one!.id, moved());
  world.router.onError(beside!.id, moved());
  world.router.onOk(two!.id, 'done', 0);
  await world.clock.settle();
  expect([first.told, other.state, second.state]).toEqual(['shard.moved no', 'waiting', 'ok']);
  await world.clock.advance(100);
  expect((await world.sent()).map(({ input }) => input)).toEqual(['other']);
});

test.each(['no answer', 'executed and failed'])('overtaken is also who was passed by a call with %s', async (what) => {
  const world = new RouterFixture();
  world.own('a', 7);
  const first = world.call('k', 1);
  world.call('k', 2);
  const [one, two] = await world.sent();
  world.router.onError(one!.id, moved());
  if (what === 'no answer') await world.linkDown();
  else world.router.onError(two!.id, new PerkeyError('handler.failed', 'threw'));
  await world.clock.settle();
  expect(first.told).toBe('shard.moved no');
});

test('a frame that reached nobody is sent again, in order, and its neighbours are not', async () => {
  const world = new RouterFixture();
  world.own('a', 7);
  const lost = [world.call('k', 1), world.call('k', 2)];
  const token = (await world.sent())[0]!.token;
  const other = world.call('other', 3);
  const kept = await world.sentOne();
  world.router.onUndeliverable(token);
  expect(world.newsWanted).toBeGreaterThan(0);
  await world.clock.advance(100);
  const first = await world.sentOne();
  world.router.onOk(first.id, first.input, 0);
  const second = await world.sentOne();
  expect([first.input, second.input]).toEqual([1, 2]);
  for (const { id, input } of [second, kept]) world.router.onOk(id, input, 0);
  await world.clock.settle();
  expect([...lost, other].map(({ state, value }) => [state, value])).toEqual([
    ['ok', 1],
    ['ok', 2],
    ['ok', 3],
  ]);
});

test('what is sent while the gate of a shard opens does not overtake what was held back', async () => {
  const admitted: unknown[] = [];
  const world: RouterFixture = new RouterFixture({
    admit: (_shard, request: InboundRequest) => {
      admitted.push(request.input);
      // A turn that runs at once and tells another actor something.
      if (request.input === 'first') world.router.notify('t', 'm', 'k', 'nested');
      request.reply.ok(request.id, undefined, 0);
    },
  });
  for (const input of ['first', 'second', 'third']) world.call('k', input);
  expect(world.router.inFlight).toBe(3);
  world.own('self', 7);
  await world.clock.settle();
  expect(admitted).toEqual(['first', 'second', 'third', 'nested']);
  expect(world.router.inFlight).toBe(0);
});

test('a local refusal in the middle of an opening gate keeps the order', async () => {
  const admitted: unknown[] = [];
  let isOpen = false;
  const world = new RouterFixture({
    admit: (_shard, request) => {
      if (!isOpen) {
        request.reply.error(request.id, moved());
        isOpen = true;
        return;
      }
      admitted.push(request.input);
      request.reply.ok(request.id, undefined, 0);
    },
  });
  for (const input of [1, 2, 3]) world.call('k', input);
  world.own('self', 7);
  world.call('k', 4);
  await world.clock.advance(100);
  expect(admitted).toEqual([1, 2, 3, 4]);
});

test('one slow call does not hold up the other keys of its shard for long', async () => {
  const world = new RouterFixture();
  world.own('a', 7);
  const [slowKey, otherKey, thirdKey] = world.keysBeside('k', 3) as [string, string, string];
  const slow = world.call(slowKey, 'slow', { timeoutMs: 60_000 });
  const slowRequest = await world.sentOne();
  world.call(otherKey, 'unlucky');
  world.router.onUndeliverable((await world.sentOne()).token);
  await world.clock.advance(500);
  expect((await world.sent()).map(({ input }) => input)).toEqual(['unlucky']);
  world.own('b', 8);
  world.call(thirdKey, 'new owner');
  world.call(slowKey, 'behind');
  await world.clock.advance(500);
  expect((await world.sent()).map(({ input }) => input)).toEqual(['new owner']);
  world.router.onOk(slowRequest.id, 1, 0);
  await world.clock.advance(25);
  expect([slow.state, (await world.sent()).map(({ input }) => input)]).toEqual(['ok', ['behind']]);
});

test('a link that goes down fails what was sent, keeps what was not, and sends it when it is back', async () => {
  const world = new RouterFixture();
  world.own('a', 7);
  const [first, second, third] = world.keysBeside('k', 3) as [string, string, string];
  const sent = world.call(first, 1);
  const repeated = world.call(second, 2, { idempotencyKey: 'once' });
  await world.sent();
  const unsent = world.call(third, 3);
  await world.linkDown();
  expect([sent.told, repeated.state, unsent.state]).toEqual(['link.lost unknown', 'waiting', 'waiting']);
  await world.clock.advance(1_000);
  expect(await world.sent()).toEqual([]);
  await world.linkUp();
  const request = await world.sentOne();
  world.router.onOk(request.id, 'done', 0);
  expect([request.input, (await world.sentOne()).input]).toEqual([2, 3]);
});

test('when the connection is back one call of a shard finds out whether its owner is, so that none overtakes another in a later frame', async () => {
  const world = new RouterFixture({ settings: { frameCountMax: 2 } });
  world.own('a', 7);
  await world.linkDown();
  const calls = [1, 2, 3, 4, 5, 6].map((input) => world.call('k', input));
  await world.linkUp();
  const tooEarly = await world.sentOne();
  world.call('k', 7);
  world.router.onUndeliverable(tooEarly.token);
  await world.clock.advance(100);
  const again = await world.sentOne();
  expect([tooEarly.input, again.input]).toEqual([1, 1]);
  world.router.onOk(again.id, 'done', 0);
  const others = await world.sent();
  expect(others.map(({ input }) => input)).toEqual([2, 3, 4, 5, 6, 7]);
  expect(new Set(others.map(({ token }) => token)).size).toBe(3);
  for (const { id } of others) world.router.onOk(id, 'done', 0);
  await world.clock.settle();
  expect(calls.map(({ told }) => told)).toEqual(calls.map(() => 'ok'));
});

test('a call that takes long and finds out whether the owner is back does not hold up other keys for ever', async () => {
  const world = new RouterFixture();
  world.own('a', 7);
  await world.linkDown();
  for (const key of world.keysBeside('k', 3)) world.call(key, key);
  await world.linkUp();
  expect((await world.sentOne()).key).toBe('k');
  await world.clock.advance(200);
  expect(await world.sent()).toEqual([]);
  await world.clock.advance(100);
  expect(await world.sent()).toHaveLength(2);
});

test('later calls wait for the answers of the former owner, and no longer', async () => {
  const world = new RouterFixture();
  world.own('a', 7);
  const first = world.call('k', 1);
  const request = await world.sentOne();
  world.own('b', 8);
  world.call('k', 2);
  expect(await world.sent()).toEqual([]);
  world.router.onOk(request.id, 'by the former owner', 0);
  expect(await world.sentOne()).toMatchObject({ to: 'node/b/1-b', epoch: 8, input: 2 });
  expect(first.value).toBe('by the former owner');
});

test('what an owner that is gone may have got ends as unknown or is sent again, and its memory is let go', async () => {
  const world = new RouterFixture();
  world.own('a', 7);
  const lost = world.call('k', 1);
  const repeated = world.call('k', 2, { idempotent: true });
  await world.sent();
  world.gone('a');
  await world.clock.advance(1_000);
  expect([lost.told, repeated.state]).toEqual(['node.lost unknown', 'waiting']);
  world.own('b', 8);
  expect(await world.sentOne()).toMatchObject({ to: 'node/b/1-b', input: 2 });
});

test('calls of one turn to one key keep their order when its shard begins to leave between them', async () => {
  const world = new RouterFixture({ admit: () => {} });
  world.own('a', 7);
  const made = { chain: ['t/self'] };
  world.call('k', 1, made);
  world.leaving.add('t/self');
  world.call('k', 2, made);
  world.call(world.keysBeside('k', 2)[1]!, 'elsewhere', made);
  world.call('k', 'of another', { chain: ['t/self', 't/third'] });
  const sent = await world.sent();
  expect(sent.map(({ mark }) => mark)).toEqual([0, 0, requestFlag.awaited, requestFlag.awaited]);
  for (const { id } of sent.slice(0, 2)) world.router.onError(id, moved());
  for (const { id } of sent.slice(2)) world.router.onOk(id, 'done', 0);
  await world.clock.advance(25);
  expect((await world.sent()).map(({ input, mark }) => [input, mark])).toEqual([
    [1, requestFlag.awaited],
    [2, requestFlag.awaited],
  ]);
});

test('calls that go ahead run once each, although the first of them opens their gate', async () => {
  const ran: unknown[] = [];
  const world = new RouterFixture({
    admit: (_shard, { id, input, reply }, isAwaited) => {
      if (isAwaited !== true) return reply.error(id, moved());
      ran.push(input);
      if (ran.length === 1) world.own('self', 8, '1-self');
      reply.ok(id, input, 0);
    },
  });
  world.own('self', 7, '1-self');
  const made = { chain: ['t/self'] };
  const calls = world.keysBeside('k', 3).map((key, i) => world.call(key, i, made));
  expect(calls.map(({ state }) => state)).toEqual(['waiting', 'waiting', 'waiting']);
  world.leaving.add('t/self');
  await world.clock.advance(300);
  expect([ran, world.router.inFlight]).toEqual([[0, 1, 2], 0]);
});

test('an owner that refuses what is waited for is not asked again and again', async () => {
  const refused: number[] = [];
  const world = new RouterFixture({
    admit: (_shard, { id, reply }) => {
      refused.push(world.clock.now());
      reply.error(id, moved());
    },
  });
  world.own('self', 7, '1-self');
  world.leaving.add('t/self');
  world.call('k', 1, { chain: ['t/self'] });
  await world.clock.advance(2_000);
  expect(refused.length).toBeLessThan(20);
});

test('a call made in a turn that a move holds up for long says so, and only such a call goes ahead', async () => {
  const world = new RouterFixture();
  world.own('a', 7);
  world.call('k', 'of no turn');
  world.call('k', 'of a turn', { chain: ['t/other'] });
  for (const { id, mark } of await world.sent()) {
    expect(mark).toBe(0);
    world.router.onError(id, moved());
  }
  await world.clock.advance(39);
  expect(await world.sent()).toEqual([]);
  await world.clock.advance(1);
  for (const { id } of await world.sent()) world.router.onError(id, moved());
  await world.clock.advance(20);
  expect((await world.sent()).map(({ input, mark }) => [input, mark])).toEqual([['of a turn', requestFlag.heldLong]]);
});
