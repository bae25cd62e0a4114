import { expect, test } from 'vitest';
import { PerkeyError } from '../base/errors.ts';
import { noMetrics } from '../base/metrics.ts';
import { VirtualClock } from '../testkit/virtual-clock.ts';
import { requestFlag } from './envelope.ts';
import { Gates } from './gates.ts';
import { InFlightKeys } from './in-flight-keys.ts';
import { Pending } from './pending.ts';
import { RequestMetrics } from './request-metrics.ts';
import { Routes } from './routes.ts';

const series = new RequestMetrics(noMetrics).for('t', 'm');
const ignore = (): void => {};

function world() {
  const clock = new VirtualClock();
  const out: number[] = [];
  const state = { isQuiet: true, mayTry: false, news: 0, room: Infinity, shards: 8 };
  let seq = 0;
  const hooks: { dispatch: (pending: Pending) => void } = { dispatch: () => {} };
  const routes = new Routes({ addressOf: () => 'x', isLocal: () => false, onRoute: ignore, onGone: ignore });
  const gates = new Gates({
    clock,
    isQuiet: () => state.isQuiet,
    mayTry: () => state.mayTry,
    shards: () => state.shards,
    hasRoom: () => out.length < state.room,
    mayGoAhead: ({ madeIn }) => madeIn.length > 0,
    inFlight: () => new InFlightKeys([], routes),
    dispatch: (pending) => {
      out.push(pending.seq);
      hooks.dispatch(pending);
    },
    wantNews: () => {
      state.news += 1;
    },
  });
  const call = (shard = 0, key = 'k'): Pending => {
    seq += 1;
    const pending = new Pending('t', 'm', key, {}, 0, seq, series, ignore, ignore);
    pending.shard = shard;
    return pending;
  };
  return { clock, gates, state, hooks, out, call };
}

test('a gate gives out its calls in the order of the calls, however they came to it', () => {
  const { gates, state, out, call } = world();
  const calls = Array.from({ length: 6 }, () => call());
  for (const i of [3, 0, 5, 1, 4, 2]) gates.holdBack(calls[i]!, 1);
  expect([gates.held, gates.size]).toEqual([6, 1]);
  state.mayTry = true;
  gates.tryOpen(0);
  expect([out, gates.held, gates.size]).toEqual([[1, 2, 3, 4, 5, 6], 0, 0]);
});

test('a gate without calls stays closed as long as something is under way', () => {
  const { gates, state } = world();
  state.isQuiet = false;
  gates.close(3);
  gates.tryOpen(3);
  expect(gates.has(3)).toBe(true);
  state.isQuiet = true;
  gates.tryOpen(3);
  expect(gates.has(3)).toBe(false);
});

test('a call that comes back while its gate opens stops the others, and they keep their order', async () => {
  const { gates, state, hooks, out, call, clock } = world();
  for (let i = 0; i < 4; i += 1) gates.hold(call());
  state.mayTry = true;
  hooks.dispatch = (pending) => {
    if (pending.seq !== 2 || out.length > 2) return;
    gates.holdBack(pending, 1);
    state.mayTry = false;
  };
  gates.tryOpen(0);
  expect([out, gates.held]).toEqual([[1, 2], 3]);
  state.mayTry = true;
  await clock.advance(20);
  expect([out, gates.held, gates.size]).toEqual([[1, 2, 2, 3, 4], 0, 0]);
});

test('calls that are made while a gate opens come last', () => {
  const { gates, state, hooks, out, call } = world();
  for (let i = 0; i < 3; i += 1) gates.hold(call());
  state.mayTry = true;
  let nested = false;
  hooks.dispatch = () => {
    if (nested) return;
    nested = true;
    gates.hold(call());
    gates.tryOpen(0);
  };
  gates.tryOpen(0);
  expect(out).toEqual([1, 2, 3, 4]);
});

test('a gate that is waited for asks for news, and stops with its last call', async () => {
  const { gates, state, call, clock } = world();
  const one = call();
  gates.hold(one);
  await clock.advance(100);
  expect(state.news).toBe(5);
  gates.drop(one);
  gates.drop(one);
  expect(gates.held).toBe(0);
  await clock.advance(20);
  expect([gates.size, clock.pending]).toEqual([0, 0]);
});

test('gates that were stopped hold nothing and set no timer', () => {
  const { gates, call, clock } = world();
  const calls = [call(0), call(1), call(0)];
  for (const one of calls) gates.hold(one);
  expect(new Set(gates.stop())).toEqual(new Set(calls));
  gates.close(2);
  expect([gates.held, clock.pending]).toEqual([0, 0]);
});

test('overtaken are the refused calls to the same actor that were made before', () => {
  const { gates, call } = world();
  const [first, other, unsent, late] = [call(), call(0, 'other'), call(), call(), call()];
  const refused = { executed: 'no' } as Pending['refusal'];
  for (const one of [first, other, late]) {
    one.refusal = refused;
    gates.holdBack(one, 1);
  }
  gates.hold(unsent);
  const passing = call();
  expect(gates.overtakenBy(passing)).toEqual([first, late]);
  expect(gates.overtakenBy(first)).toEqual([]);
});

test('a call that a move waits for goes ahead of calls of others, and behind those of its own actor', async () => {
  const { clock, gates, out, call } = world();
  const madeIn = (actor: string, key = 'k'): Pending => Object.assign(call(0, key), { madeIn: [actor] });
  const [others, first, second, alone] = [call(), madeIn('t/a'), madeIn('t/a'), madeIn('t/b')];
  gates.hold(others);
  expect(gates.mayGoAhead(first)).toBe(true);
  gates.hold(first);
  expect(gates.mayGoAhead(second)).toBe(false);
  expect(gates.mayGoAhead(alone)).toBe(true);
  expect(gates.mayGoAhead(call())).toBe(false);
  gates.hold(second);
  await clock.advance(25);
  expect(out).toEqual([first.seq, second.seq]);
});

test('what a call that went ahead has overtaken is refused only where its own actor made it', () => {
  const { gates, call } = world();
  const refusal = new PerkeyError('shard.moved', 'moved');
  const [others, own, later] = [call(), call(), call()].map((one) => Object.assign(one, { refusal }));
  Object.assign(own!, { madeIn: ['t/a'] });
  gates.holdBack(others!, 1);
  gates.holdBack(own!, 1);
  Object.assign(later!, { madeIn: ['t/a'], mark: requestFlag.awaited });
  expect(gates.overtakenBy(later!)).toEqual([own]);
  later!.mark = 0;
  expect(gates.overtakenBy(later!)).toEqual([others, own]);
});

test('calls that go ahead go out once each, although the end of one opens their gate', async () => {
  const { clock, gates, state, hooks, out, call } = world();
  const calls = ['k', 'l', 'm'].map((key) => Object.assign(call(0, key), { madeIn: ['t/a'] }));
  for (const one of calls) gates.hold(one);
  hooks.dispatch = () => {
    state.mayTry = true;
    gates.tryOpen(0);
  };
  await clock.advance(100);
  expect([out, gates.held, gates.size]).toEqual([[1, 2, 3], 0, 0]);
});

test('calls go out as far as there is room, then one for each that ends, of each gate in turn and with those made meanwhile behind them', () => {
  const { gates, state, out, call } = world();
  for (let i = 0; i < 9; i += 1) gates.hold(call(i < 5 ? 0 : 1));
  state.mayTry = true;
  state.room = 3;
  gates.tryOpenAll();
  expect([out, gates.size]).toEqual([[1, 2, 3], 2]);
  const late = call(0);
  expect(gates.stops(late)).toBe(true);
  gates.hold(late);
  // What went out is under way: a gate goes on all the same.
  state.isQuiet = false;
  for (state.room = 4; state.room < 9; state.room += 1) gates.tryOpen(2);
  expect([out, gates.held]).toEqual([[1, 2, 3, 4, 6, 5, 7, 10], 2]);
  state.room = 20;
  gates.tryOpen(2);
  expect([out, gates.held, gates.size]).toEqual([[1, 2, 3, 4, 6, 5, 7, 10, 8, 9], 0, 0]);
});

test('where most shards have waited, all calls go out at once; the next time they do not', () => {
  const { gates, state, out, call } = world();
  state.shards = 3;
  state.room = 1;
  for (const shard of [0, 1, 0, 1]) gates.hold(call(shard));
  state.mayTry = true;
  gates.tryOpenAll();
  expect([out, gates.size]).toEqual([[1, 3, 2, 4], 0]);
  state.room = 5;
  for (const shard of [0, 0]) gates.hold(call(shard));
  gates.tryOpenAll();
  expect([out, gates.held]).toEqual([[1, 3, 2, 4, 5], 1]);
});

test.each([1, 2])('where what went out takes long, more follow with each look: 4, 8, 12, and so on; time %i', async (time) => {
  const { clock, gates, state, out, call } = world();
  if (time === 2) {
    for (let i = 0; i < 50; i += 1) gates.hold(call());
    state.mayTry = true;
    state.room = 0;
    while (out.length < 50) await clock.advance(20);
    await clock.advance(1_000);
    expect(gates.size).toBe(0);
    out.length = 0;
  }
  for (let i = 0; i < 100; i += 1) gates.hold(call(i % 2));
  state.mayTry = true;
  state.room = 10;
  gates.tryOpenAll();
  state.isQuiet = false;
  const seen = [out.length];
  for (let look = 0; look < 7; look += 1) {
    await clock.advance(20);
    seen.push(out.length);
  }
  expect([seen, gates.size]).toEqual([[10, 14, 22, 34, 50, 70, 94, 100], 0]);
});

test.each(['a call comes back', 'the owner changes', 'the connection is new'])(
  'what is left of a gate that has given out a part waits for that part when %s',
  async (change) => {
    const { clock, gates, state, out, call } = world();
    const calls = Array.from({ length: 9 }, () => call());
    for (const one of calls) gates.hold(one);
    state.mayTry = true;
    state.room = 4;
    gates.tryOpen(0);
    state.isQuiet = false;
    if (change === 'a call comes back') gates.holdBack(calls[2]!, 1);
    else if (change === 'the owner changes') gates.close(0);
    else gates.doubtAll();
    state.room = Infinity;
    gates.tryOpen(0);
    await clock.advance(100);
    expect([out.length, gates.has(0)]).toEqual([4, true]);
    out.length = 0;
    state.isQuiet = true;
    gates.tryOpen(0);
    const rest = calls.slice(4).map(({ seq }) => seq);
    expect(out).toEqual(change === 'a call comes back' ? [calls[2]!.seq, ...rest] : rest);
  },
);

test('gates that were stopped after one of them had given out a part give out nothing more', async () => {
  const { clock, gates, state, out, call } = world();
  for (let i = 0; i < 9; i += 1) gates.hold(call());
  state.mayTry = true;
  state.room = 4;
  gates.tryOpen(0);
  expect(gates.stop()).toHaveLength(5);
  state.room = Infinity;
  gates.tryOpen(0);
  await clock.advance(100);
  expect([out.length, gates.held]).toEqual([4, 0]);
});
