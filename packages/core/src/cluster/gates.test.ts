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
  const state = { isQuiet: true, mayTry: false, news: 0 };
  let seq = 0;
  const hooks: { dispatch: (pending: Pending) => void } = { dispatch: () => {} };
  const routes = new Routes({ addressOf: () => 'x', isLocal: () => false, onRoute: ignore, onGone: ignore });
  const gates = new Gates({
    clock,
    isQuiet: () => state.isQuiet,
    mayTry: () => state.mayTry,
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

test('many calls go out over several turns, in their order and with those made meanwhile behind them', async () => {
  const { clock, gates, state, out, call } = world();
  const seqs = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);
  for (let i = 0; i < 80; i += 1) gates.hold(call(i < 70 ? 0 : 1));
  state.mayTry = true;
  gates.tryOpenAll();
  expect([out, gates.size]).toEqual([seqs(1, 32), 2]);
  const late = call(0);
  expect(gates.stops(late)).toBe(true);
  gates.hold(late);
  // Its first part is under way: a gate goes on all the same.
  state.isQuiet = false;
  clock.defer(() => expect([out.length, gates.held]).toEqual([64, 17]));
  await clock.advance(0);
  expect([out, gates.held, gates.size, clock.pending]).toEqual([[...seqs(1, 70), 81, ...seqs(71, 80)], 0, 0, 1]);
});

test.each(['a call comes back', 'the owner changes', 'the connection is new'])(
  'what is left of a gate that opens in parts waits for the part under way when %s',
  async (change) => {
    const { clock, gates, state, out, call } = world();
    const calls = Array.from({ length: 40 }, () => call());
    for (const one of calls) gates.hold(one);
    state.mayTry = true;
    gates.tryOpen(0);
    state.isQuiet = false;
    if (change === 'a call comes back') gates.holdBack(calls[5]!, 1);
    else if (change === 'the owner changes') gates.close(0);
    else gates.doubtAll();
    await clock.advance(100);
    expect([out.length, gates.has(0)]).toEqual([32, true]);
    out.length = 0;
    state.isQuiet = true;
    gates.tryOpen(0);
    await clock.advance(0);
    const rest = calls.slice(32).map(({ seq }) => seq);
    expect(out).toEqual(change === 'a call comes back' ? [calls[5]!.seq, ...rest] : rest);
  },
);

test('gates that were stopped while one of them opened in parts give out nothing more', async () => {
  const { clock, gates, state, out, call } = world();
  for (let i = 0; i < 40; i += 1) gates.hold(call());
  state.mayTry = true;
  gates.tryOpen(0);
  expect(gates.stop()).toHaveLength(8);
  await clock.advance(100);
  expect([out.length, gates.held]).toEqual([32, 0]);
});
