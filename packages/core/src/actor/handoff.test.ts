import { expect, test } from 'vitest';
import { z } from 'zod';
import type { CarriedActor } from '../contract/calls.ts';
import { ActorFixture } from '../testkit/actor-fixture.ts';
import { defineActor } from './definition.ts';

const Mover = defineActor('mover', {
  add: { output: z.number() },
  wait: { output: z.number() },
  work: {},
  stubborn: {},
  spoil: {},
});

interface Seen {
  readonly hooks: unknown[];
  readonly gates: (() => void)[];
  readonly aborted: unknown[];
}

function host(hook?: (reason: string) => void | Promise<void>) {
  const seen: Seen = { hooks: [], gates: [], aborted: [] };
  const mover = Mover.host({
    state: (): { n: number; odd?: unknown } => ({ n: 0 }),
    onActivate: (ctx, origin) => void seen.hooks.push([ctx.key, origin]),
    onDeactivate(ctx, reason) {
      seen.hooks.push([ctx.key, reason]);
      ctx.state.n += 100;
      return hook?.(reason);
    },
    add: (ctx) => (ctx.state.n += 1),
    async wait(ctx) {
      await new Promise<void>((resolve) => seen.gates.push(resolve));
      return (ctx.state.n += 10);
    },
    work: (ctx) =>
      ctx.background('copy', async ({ signal, self }) => {
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
        seen.aborted.push((signal.reason as { code: string }).code);
        self.add();
      }),
    stubborn: (ctx) => ctx.background(() => new Promise<void>(() => {})),
    spoil: (ctx) => void (ctx.state.odd = () => {}),
  });
  return { fixture: new ActorFixture([mover]), seen, mover };
}

const close = (fixture: ActorFixture, drainMs = 1_000): Promise<readonly CarriedActor[]> =>
  fixture.host.closeShard(0, { drainMs, successor: 'node-b' });

test('I17: what waits is refused at once, what runs ends, and the state goes along', async () => {
  const { fixture, seen } = host();
  fixture.ask('mover', 'idle', 'add');
  const running = fixture.ask('mover', 'a', 'wait');
  const queued = [fixture.ask('mover', 'a', 'add'), fixture.ask('mover', 'a', 'add')];
  const closing = close(fixture);
  for (const one of queued)
    expect(one.error).toMatchObject({ code: 'shard.moved', executed: 'no', details: { shard: 0, successor: 'node-b' } });
  expect(fixture.ask('mover', 'new', 'add').error).toMatchObject({ details: { successor: 'node-b' } });
  await fixture.clock.advance(100);
  expect(running.outcome).toBe('waiting');
  seen.gates[0]?.();
  const carried = await fixture.clock.run(closing);
  expect(running.value).toBe(10);
  expect(carried).toEqual([
    { type: 'mover', key: 'idle', state: { n: 101 } },
    { type: 'mover', key: 'a', state: { n: 110 } },
  ]);
  expect(seen.hooks.slice(2)).toEqual([
    ['idle', 'moved'],
    ['a', 'moved'],
  ]);
  expect(fixture.host.inspect()).toMatchObject({ shards: 0, resident: 0, waiting: 0, running: 0 });
  expect(fixture.metric('perkey_actor_deactivations_total', 'reason=moved,type=mover')).toBe(2);
  await fixture.clock.advance(100);
  expect(fixture.clock.pending).toBe(0);
});

test('a shard that waits for turns takes what such turns wait for, until there are none', async () => {
  const { fixture, seen } = host();
  fixture.ask('mover', 'idle', 'add');
  const running = fixture.ask('mover', 'a', 'wait');
  const closing = close(fixture);
  expect(fixture.host.isLeaving(['mover/idle'], false)).toBe(false);
  expect(fixture.host.isLeaving(['mover/elsewhere', 'mover/a'], false)).toBe(true);
  expect(fixture.host.leavingEpoch(0, false)).toBe(7);
  const awaited = ['idle', 'new', 'a'].map((key) => fixture.askAwaited('mover', key, 'wait'));
  const behind = fixture.askAwaited('mover', 'a', 'add');
  expect(fixture.ask('mover', 'idle', 'add').error?.code).toBe('shard.moved');
  expect(seen.gates).toHaveLength(3);
  for (let i = 0; i < 4; i += 1) {
    expect(behind.outcome).toBe('waiting');
    seen.gates[i]?.();
    await fixture.clock.settle();
  }
  const carried = await fixture.clock.run(closing, { limitMs: 1 });
  expect([running, ...awaited, behind].map(({ value }) => value)).toEqual([10, 11, 10, 20, 21]);
  expect(carried.map(({ key, state }) => [key, state])).toEqual([
    ['idle', { n: 111 }],
    ['a', { n: 121 }],
    ['new', { n: 110 }],
  ]);
  expect([fixture.host.isLeaving(['mover/a'], false), fixture.host.leavingEpoch(0, false)]).toEqual([false, undefined]);
});

test('what was awaited and is no longer keeps no shard', async () => {
  const { fixture, seen } = host();
  fixture.ask('mover', 'a', 'wait');
  const closing = close(fixture);
  fixture.askAwaited('mover', 'a', 'add', { id: 77 });
  fixture.host.cancel(({ id }) => id === 77);
  seen.gates[0]?.();
  expect(await fixture.clock.run(closing, { limitMs: 1 })).toEqual([{ type: 'mover', key: 'a', state: { n: 110 } }]);
});

test('a turn that does not end within drainMs is abandoned, and its leftovers cannot touch the state that goes', async () => {
  const { fixture, seen } = host();
  fixture.ask('mover', 'a', 'add');
  const running = fixture.ask('mover', 'a', 'wait');
  const carried = await fixture.clock.run(close(fixture, 200), { limitMs: 210 });
  expect(running.error).toMatchObject({ code: 'turn.abandoned', executed: 'unknown' });
  expect(carried).toEqual([{ type: 'mover', key: 'a', state: { n: 101 } }]);
  seen.gates[0]?.();
  await fixture.clock.settle();
  expect(carried).toEqual([{ type: 'mover', key: 'a', state: { n: 101 } }]);
});

test('carried actors are resident at once and go on where they were', async () => {
  const { fixture, mover } = host();
  fixture.ask('mover', 'a', 'add');
  const carried = await fixture.clock.run(close(fixture));
  const { fixture: next, seen } = host();
  next.host.openShard(1, 9, [...carried, { type: 'gone', key: 'x', state: 1 }]);
  expect(next.host.inspect()).toMatchObject({ resident: 1, residentByType: { mover: 1 } });
  expect(seen.hooks).toEqual([]);
  expect(next.askShard(1, 'mover', 'a', 'add').value).toBe(102);
  expect(seen.hooks).toEqual([['a', 'moved']]);
  expect(next.lines).toMatchObject([{ level: 'error', fields: { type: 'gone', key: 'x' } }]);
  expect(mover.contract.type).toBe('mover');
});

test('an actor that was carried here and never used goes on unchanged', async () => {
  const { fixture } = host();
  const actors = [{ type: 'mover', key: 'a', state: { n: 5 }, window: [['k', 'add', '', 0, 'ok', 1]] }];
  fixture.host.openShard(2, 9, actors);
  const carried = await fixture.clock.run(fixture.host.closeShard(2, { drainMs: 10, successor: undefined }));
  expect(carried).toEqual(actors);
});

test('a shard that was closed may be opened again with what it gave', async () => {
  const { fixture } = host();
  fixture.ask('mover', 'a', 'add');
  fixture.host.openShard(0, 7, await fixture.clock.run(close(fixture)));
  expect(fixture.ask('mover', 'a', 'add').value).toBe(102);
});

test('carried actors are taken whatever the limit, and a failed activation keeps their state', async () => {
  let isBroken = true;
  const Frail = defineActor('frail', { get: { output: z.number() } });
  const frail = Frail.host({
    state: () => 0,
    get: (ctx) => ctx.state,
    onActivate() {
      if (isBroken) throw new Error('not yet');
    },
  });
  const fixture = new ActorFixture([frail], { settings: { actorsResidentMax: 1 } });
  fixture.host.openShard(
    1,
    8,
    [1, 2, 3].map((state) => ({ type: 'frail', key: `k${state}`, state })),
  );
  expect(fixture.host.inspect().resident).toBe(3);
  expect(fixture.askShard(1, 'frail', 'k2', 'get').outcome).toBe('actor.activation_failed');
  isBroken = false;
  expect(fixture.askShard(1, 'frail', 'k2', 'get').value).toBe(2);
});

test('background work is told to stop and waited for', async () => {
  const { fixture, seen } = host();
  fixture.ask('mover', 'a', 'work');
  await fixture.clock.settle();
  const carried = await fixture.clock.run(close(fixture), { limitMs: 1 });
  expect(seen.aborted).toEqual(['turn.abandoned']);
  expect(carried).toHaveLength(1);
  const stubborn = host().fixture;
  stubborn.ask('mover', 'a', 'stubborn');
  const started = stubborn.clock.now();
  await stubborn.clock.run(close(stubborn, 300));
  expect(stubborn.clock.now() - started).toBeGreaterThanOrEqual(300);
});

test('onDeactivate may be asynchronous, and is not waited for beyond drainMs', async () => {
  const fixtures: ActorFixture[] = [];
  const slow = host(() => new Promise((resolve) => void fixtures[0]?.clock.setTimer(100, resolve)));
  fixtures.push(slow.fixture);
  slow.fixture.ask('mover', 'a', 'add');
  expect(await slow.fixture.clock.run(close(slow.fixture))).toEqual([{ type: 'mover', key: 'a', state: { n: 101 } }]);
  const hanging = host(() => new Promise(() => {}));
  hanging.fixture.ask('mover', 'a', 'add');
  expect(await hanging.fixture.clock.run(close(hanging.fixture, 300), { limitMs: 320 })).toHaveLength(1);
  expect(hanging.fixture.host.inspect()).toMatchObject({ resident: 0, running: 0 });
});

test('state that is not plain data is lost with a word in the log, and the rest moves', async () => {
  const { fixture } = host();
  fixture.ask('mover', 'bad', 'spoil');
  fixture.ask('mover', 'good', 'add');
  const carried = await fixture.clock.run(close(fixture));
  expect(carried.map(({ key }) => key)).toEqual(['good']);
  expect(fixture.lines).toMatchObject([{ fields: { type: 'mover', key: 'bad', where: 'state' } }]);
  expect(fixture.metric('perkey_actor_lost_on_move_total', 'type=mover')).toBe(1);
});

test('a shard that is lost while it closes gives nothing', async () => {
  const { fixture, seen } = host();
  const running = fixture.ask('mover', 'a', 'wait');
  const closing = close(fixture);
  await fixture.clock.advance(10);
  fixture.host.dropShard(0);
  expect(await fixture.clock.run(closing, { limitMs: 1 })).toEqual([]);
  expect(running.outcome).toBe('turn.abandoned');
  expect(seen.hooks).toEqual([
    ['a', 'new'],
    ['a', 'lost'],
  ]);
  fixture.host.openShard(0, 8, []);
  expect(fixture.ask('mover', 'a', 'add').value).toBe(1);
});

test('closing a shard that is not open gives nothing', async () => {
  const { fixture } = host();
  expect(await fixture.host.closeShard(5, { drainMs: 10, successor: undefined })).toEqual([]);
  const both = [close(fixture), close(fixture)];
  expect(await fixture.clock.run(Promise.all(both))).toEqual([[], []]);
});

test('withheld replies leave with the shard if they may, and otherwise nobody knows', async () => {
  for (const mayAct of [true, false]) {
    const { fixture, seen } = host();
    const asked = fixture.ask('mover', 'a', 'wait');
    fixture.mayAct = false;
    seen.gates[0]?.();
    await fixture.clock.settle();
    expect(fixture.host.inspect().withheld).toBe(1);
    fixture.mayAct = mayAct;
    await fixture.clock.run(close(fixture));
    expect(asked.outcome).toBe(mayAct ? 'ok' : 'turn.abandoned');
  }
});

test('an actor that is being activated when its shard closes is waited for', async () => {
  const Late = defineActor('late', { get: {} });
  const gates: (() => void)[] = [];
  const late = Late.host({ state: () => 1, get: () => {}, onActivate: () => new Promise<void>((resolve) => gates.push(resolve)) });
  const fixture = new ActorFixture([late]);
  const asked = fixture.ask('late', 'a', 'get');
  fixture.ask('late', 'b', 'get');
  const closing = fixture.host.closeShard(0, { drainMs: 100, successor: 'b' });
  expect(asked.outcome).toBe('shard.moved');
  gates[0]?.();
  expect(await fixture.clock.run(closing)).toEqual([{ type: 'late', key: 'a', state: 1 }]);
});

test('what needs no turn of its own, as a repeat, holds up no shard that waits for turns', async () => {
  const { fixture, seen } = host();
  const first = fixture.ask('mover', 'a', 'add', undefined, { idempotencyKey: 'once' });
  fixture.ask('mover', 'a', 'wait');
  const closing = close(fixture);
  const again = fixture.askAwaited('mover', 'a', 'add', { idempotencyKey: 'once', chain: ['mover/b'] });
  seen.gates[0]?.();
  await fixture.clock.run(closing, { limitMs: 1 });
  expect([first.value, again.value]).toEqual([1, 1]);
});

test('a turn that a shard on its way out takes calls in its first moment already as one that is waited for', () => {
  const seen: boolean[] = [];
  const relay = Mover.host({
    state: () => ({ n: 0 }),
    add: (ctx) => ctx.state.n,
    wait: async () => new Promise<number>(() => {}),
    work(ctx) {
      ctx.notify(Mover, 'other').add();
    },
    stubborn: () => {},
    spoil: () => {},
  });
  const fixture = new ActorFixture([relay]);
  fixture.notify = (_type, _method, _key, _input, options) => void seen.push(fixture.host.isLeaving(options?.chain ?? [], true));
  fixture.ask('mover', 'a', 'wait');
  void close(fixture);
  fixture.askAwaited('mover', 'b', 'work', { chain: ['mover/elsewhere'] });
  expect(seen).toEqual([true]);
});

test('when the time for turns is over, what still waits is refused, and no turn begins any more', async () => {
  const { fixture, seen } = host();
  fixture.ask('mover', 'b', 'add');
  const resumes = {
    ok: () => {},
    error: () => {
      fixture.mayAct = true;
      fixture.host.resume();
    },
  };
  fixture.ask('mover', 'a', 'wait', undefined, { reply: resumes });
  const closing = close(fixture, 200);
  fixture.mayAct = false;
  const late = fixture.askAwaited('mover', 'b', 'wait', { chain: ['mover/a'] });
  expect(late.outcome).toBe('waiting');
  const carried = await fixture.clock.run(closing, { limitMs: 210 });
  expect(late.error).toMatchObject({ code: 'shard.moved', executed: 'no' });
  expect(seen.gates).toHaveLength(1);
  expect(carried.map(({ state }) => state)).toEqual([{ n: 101 }, { n: 100 }]);
});

test('one-way messages that follow each other keep no shard on its way out: they go on where its actors do', async () => {
  const turns: string[] = [];
  const ball = Mover.host({
    state: () => ({ n: 0 }),
    add: (ctx) => ctx.state.n,
    async wait(ctx) {
      turns.push(ctx.key);
      ctx.state.n += 1;
      await new Promise<void>((resolve) => fixture.clock.setTimer(10, resolve));
      ctx.notify(Mover, ctx.key === 'ping' ? 'pong' : 'ping').wait();
      return ctx.state.n;
    },
    work: () => {},
    stubborn: () => {},
    spoil: () => {},
  });
  const fixture = new ActorFixture([ball]);
  const refused: string[] = [];
  fixture.notify = (type, method, key, _input, { chain = [] } = {}) => {
    const reply = { ok: () => {}, error: (_id: number, { code }: { readonly code: string }) => void refused.push(code) };
    const isAwaited = fixture.host.isLeaving(chain, true);
    fixture.host.admit(
      0,
      {
        id: 1,
        type,
        method,
        key,
        input: undefined,
        headers: {},
        chain: [],
        ...{ idempotencyKey: undefined, caller: '', deadline: 1e6, reply },
      },
      isAwaited,
    );
  };
  fixture.ask('mover', 'ping', 'wait');
  await fixture.clock.advance(55);
  const before = turns.length;
  const carried = await fixture.clock.run(close(fixture, 1_000), { limitMs: 20 });
  expect([before, turns.length]).toEqual([6, 7]);
  expect(refused).toEqual(['shard.moved']);
  expect(carried.map(({ state }) => state)).toEqual([{ n: 4 }, { n: 3 }]);
});

test('what is only held up for long is taken in the first half of the time that a shard has to leave', async () => {
  const { fixture } = host();
  fixture.ask('mover', 'a', 'wait');
  void close(fixture, 200);
  const epochs = async (ms: number): Promise<unknown> => {
    await fixture.clock.advance(ms);
    return [fixture.host.leavingEpoch(0, false), fixture.host.leavingEpoch(0, true)];
  };
  expect([await epochs(99), await epochs(1), await epochs(100)]).toEqual([
    [7, 7],
    [7, undefined],
    [undefined, undefined],
  ]);
});
