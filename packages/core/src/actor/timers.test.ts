import { expect, test } from 'vitest';
import { z } from 'zod';
import { ActorFixture } from '../testkit/actor-fixture.ts';
import type { ActorContext, TimerSchedule } from './actor-context.ts';
import { defineActor } from './definition.ts';

const Clocked = defineActor('clocked', {
  set: { input: z.object({ name: z.enum(['tick', 'fail', 'slow']), schedule: z.custom<TimerSchedule>(), input: z.unknown().optional() }) },
  cancel: { input: z.enum(['tick', 'fail', 'slow']), output: z.boolean() },
  hold: {},
  get: { output: z.unknown() },
});

type Context = ActorContext<typeof Clocked, State>;

interface State {
  ticks: unknown[];
}

function host() {
  const gates: (() => void)[] = [];
  const clock: { now: () => number } = { now: () => 0 };
  const note = (ctx: Context, what: unknown): void => void ctx.state.ticks.push([what, Math.round(clock.now())]);
  const clocked = Clocked.host({
    state: (): State => ({ ticks: [] }),
    set: (ctx, { name, schedule, input }) => ctx.timers.set(name, schedule, input),
    cancel: (ctx, name) => ctx.timers.cancel(name),
    hold: () => new Promise<void>((resolve) => gates.push(resolve)),
    get: (ctx) => ctx.state.ticks,
    timers: {
      tick: (ctx, input) => note(ctx as unknown as Context, input ?? 'tick'),
      fail(ctx) {
        note(ctx as unknown as Context, 'fail');
        throw new Error('in a tick');
      },
      slow(ctx) {
        note(ctx as unknown as Context, 'slow');
        return new Promise<void>((resolve) => gates.push(resolve));
      },
    },
  });
  const fixture = new ActorFixture([clocked]);
  const start = fixture.clock.now();
  clock.now = () => fixture.clock.now() - start;
  const set = (name: string, schedule: TimerSchedule, input?: unknown) => fixture.ask('clocked', 'a', 'set', { name, schedule, input });
  const ticks = () => fixture.ask('clocked', 'a', 'get').value;
  return { fixture, gates, clocked, set, ticks };
}

test('I15: a timer fires once, not before it is due', async () => {
  const { fixture, set, ticks } = host();
  set('tick', { afterMs: 100 }, { n: 1 });
  await fixture.clock.advance(99);
  expect(ticks()).toEqual([]);
  await fixture.clock.advance(1);
  expect(ticks()).toEqual([[{ n: 1 }, 100]]);
  await fixture.clock.advance(1_000);
  expect(ticks()).toHaveLength(1);
  await fixture.clock.settle();
  expect(fixture.clock.pending).toBe(0);
  expect(fixture.metric('perkey_actor_turns_total', 'method=timer.tick,outcome=ok,type=clocked')).toBe(1);
});

test('a platform timer that is early is waited out', async () => {
  const { fixture, set, ticks } = host();
  const setTimer = fixture.clock.setTimer.bind(fixture.clock);
  fixture.clock.setTimer = (ms, run) => setTimer(ms * 0.9, run);
  set('tick', { afterMs: 100 });
  await fixture.clock.advance(99);
  expect(ticks()).toEqual([]);
  await fixture.clock.advance(2);
  expect(ticks()).toHaveLength(1);
});

test('a periodic timer keeps its grid; a tick that throws is logged and counted, and the timer goes on', async () => {
  const { fixture, set, ticks } = host();
  set('fail', { everyMs: 100 });
  await fixture.clock.advance(350);
  expect(ticks()).toEqual([
    ['fail', 100],
    ['fail', 200],
    ['fail', 300],
  ]);
  expect(fixture.lines).toHaveLength(3);
  expect(fixture.metric('perkey_actor_turns_total', 'method=timer.fail,outcome=handler.failed,type=clocked')).toBe(3);
});

test('at most one tick of a timer waits', async () => {
  const { fixture, gates, set, ticks } = host();
  set('tick', { everyMs: 100 });
  fixture.ask('clocked', 'a', 'hold');
  await fixture.clock.advance(550);
  expect(fixture.host.inspect().waiting).toBe(1);
  gates[0]?.();
  await fixture.clock.advance(100);
  expect(ticks()).toEqual([
    ['tick', 550],
    ['tick', 600],
  ]);
});

test('ticks are turns: they wait for the one before', async () => {
  const { fixture, gates, set } = host();
  set('slow', { afterMs: 10 });
  await fixture.clock.advance(20);
  const asked = fixture.ask('clocked', 'a', 'get');
  await fixture.clock.settle();
  expect(asked.outcome).toBe('waiting');
  gates[0]?.();
  await fixture.clock.settle();
  expect(asked.value).toEqual([['slow', 10]]);
});

test('a cancelled timer does not tick, even when its tick waits already', async () => {
  const { fixture, gates, set, ticks } = host();
  fixture.ask('clocked', 'a', 'get');
  const held = fixture.ask('clocked', 'a', 'hold');
  const cancelled = fixture.ask('clocked', 'a', 'cancel', 'tick');
  gates[0]?.();
  await fixture.clock.settle();
  expect([held.outcome, cancelled.value]).toEqual(['ok', false]);
  set('tick', { afterMs: 100 });
  fixture.ask('clocked', 'a', 'hold');
  const inTime = fixture.ask('clocked', 'a', 'cancel', 'tick');
  await fixture.clock.advance(200);
  expect(fixture.host.inspect().waiting).toBe(2);
  gates[1]?.();
  await fixture.clock.advance(100);
  expect(inTime.value).toBe(true);
  expect(ticks()).toEqual([]);
});

test('setting a timer replaces the one of that name', async () => {
  const { fixture, set, ticks } = host();
  set('tick', { everyMs: 100 }, 'old');
  set('tick', { afterMs: 250 }, 'new');
  await fixture.clock.advance(1_000);
  expect(ticks()).toEqual([['new', 250]]);
});

test('schedules and names are checked, and the input is copied', async () => {
  const { fixture, set } = host();
  for (const schedule of [
    {},
    { afterMs: 1, everyMs: 1 },
    { afterMs: -1 },
    { everyMs: 0 },
    { afterMs: Number.NaN },
    { everyMs: Infinity },
  ]) {
    expect(set('tick', schedule as TimerSchedule).error).toMatchObject({ code: 'handler.failed', details: { cause: 'options.invalid' } });
  }
  expect(set('tick', { afterMs: 1 }, () => {}).error).toMatchObject({ details: { cause: 'payload.not_plain' } });
  expect(fixture.clock.pending).toBeLessThan(3);
});

test('a far timer is waited for in steps', async () => {
  const { fixture, set, ticks } = host();
  const monthMs = 40 * 86_400_000;
  set('tick', { afterMs: monthMs });
  await fixture.clock.advance(monthMs - 1);
  expect(ticks()).toEqual([]);
  await fixture.clock.advance(1);
  expect(ticks()).toHaveLength(1);
});

test('timers move with their actor and start it there', async () => {
  const { fixture, gates, set, clocked } = host();
  set('tick', { everyMs: 100 }, 'every');
  set('fail', { afterMs: 410 });
  fixture.ask('clocked', 'b', 'set', { name: 'slow', schedule: { afterMs: 5 } });
  await fixture.clock.advance(130);
  const carried = await fixture.clock.run(fixture.host.closeShard(0, { drainMs: 20, successor: 'b' }));
  await fixture.clock.advance(1_000);
  expect(fixture.clock.pending).toBe(0);
  const next = new ActorFixture([clocked]);
  next.host.openShard(1, 8, structuredClone(carried));
  expect(next.host.inspect().resident).toBe(2);
  await next.clock.advance(49);
  expect(next.askShard(1, 'clocked', 'a', 'get').value).toHaveLength(1);
  await next.clock.advance(2);
  expect(next.askShard(1, 'clocked', 'a', 'get').value).toHaveLength(2);
  await next.clock.advance(250);
  const names = (next.askShard(1, 'clocked', 'a', 'get').value as [string, number][]).map(([name]) => name);
  expect(names).toEqual(['every', 'every', 'every', 'every', 'fail']);
  expect(gates).toHaveLength(1);
});

test('a tick that waits when the shard moves runs there at once', async () => {
  const { fixture, gates, set, clocked } = host();
  set('tick', { afterMs: 10 }, 'once');
  fixture.ask('clocked', 'a', 'hold');
  await fixture.clock.advance(20);
  const closing = fixture.host.closeShard(0, { drainMs: 50, successor: 'b' });
  gates[0]?.();
  const carried = await fixture.clock.run(closing);
  const next = new ActorFixture([clocked]);
  next.host.openShard(1, 8, carried);
  await next.clock.advance(1);
  expect(next.askShard(1, 'clocked', 'a', 'get').value).toMatchObject([['once', 20]]);
});

test('no timer ticks while its shard closes', async () => {
  const { fixture, gates, set } = host();
  set('tick', { everyMs: 10 });
  fixture.ask('clocked', 'b', 'hold');
  const closing = fixture.host.closeShard(0, { drainMs: 1_000, successor: 'b' });
  await fixture.clock.advance(100);
  gates[0]?.();
  const carried = await fixture.clock.run(closing);
  expect(carried[0]).toMatchObject({ key: 'a', state: { ticks: [] }, timers: [['tick', 0, 10, undefined]] });
});

test('timers end with a lost shard', async () => {
  const { fixture, set } = host();
  set('tick', { everyMs: 100 });
  fixture.host.dropShard(0);
  await fixture.clock.advance(1_000);
  expect(fixture.clock.pending).toBe(0);
});

test('the timers of an actor that could not be activated after its move tick once it can be', async () => {
  let failures = 3;
  const frail = defineActor('frail', { wind: {}, get: { output: z.array(z.string()) } }).host({
    state: () => ({ ticks: [] as string[] }),
    onActivate: (_ctx, origin) => {
      if (origin === 'moved' && (failures -= 1) >= 0) throw new Error('not yet');
    },
    timers: { once: (ctx) => void ctx.state.ticks.push('once'), often: (ctx) => void ctx.state.ticks.push('often') },
    wind(ctx) {
      ctx.timers.set('once', { afterMs: 50 });
      ctx.timers.set('often', { everyMs: 3_000 });
    },
    get: (ctx) => ctx.state.ticks,
  });
  const at = new ActorFixture([frail]);
  at.ask('frail', 'a', 'wind');
  const carried = await at.clock.run(at.host.closeShard(0, { drainMs: 100, successor: undefined }));
  at.host.openShard(0, 8, carried);
  await at.clock.advance(10_000);
  const { value } = at.ask('frail', 'a', 'get');
  expect(value).toEqual(expect.arrayContaining(['once', 'often']));
  expect((value as readonly string[]).filter((tick) => tick === 'once')).toHaveLength(1);
  expect((value as readonly string[]).filter((tick) => tick === 'often').length).toBeGreaterThanOrEqual(2);
});
