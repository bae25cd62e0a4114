import { expect, test } from 'vitest';
import { noMetrics } from '../base/metrics.ts';
import { seededRandom } from '../base/random.ts';
import { Attempts } from './attempts.ts';
import { Pending } from './pending.ts';
import { RequestMetrics } from './request-metrics.ts';

const series = new RequestMetrics(noMetrics).for('t', 'm');
const ignore = (): void => {};

function pending(seq: number, shard = 0): Pending {
  const one = new Pending('t', 'm', 'k', {}, 0, seq, series, ignore, ignore);
  one.shard = shard;
  return one;
}

test('an attempt is found by its id while it is under way, and by nothing else', () => {
  const attempts = new Attempts();
  attempts.setShards(4);
  const one = pending(1, 3);
  attempts.begin(one);
  const { id } = one;
  expect([attempts.get(id), attempts.size, attempts.of(3), one.attempts]).toEqual([one, 1, 1, 1]);
  for (const other of [0, id + 1, id + 1_024, id + 2 ** 30, 2 ** 32 - 1, -1, 0.5, Number.NaN]) expect(attempts.get(other)).toBeUndefined();
  attempts.end(one);
  attempts.end(one);
  expect([attempts.get(id), attempts.size, attempts.of(3), one.id]).toEqual([undefined, 0, 0, 0]);
});

test('any mix of beginnings and ends keeps each attempt at its own id', () => {
  const random = seededRandom(3);
  const attempts = new Attempts();
  attempts.setShards(8);
  const alive = new Map<number, Pending>();
  const used = new Set<number>();
  for (let seq = 1; seq <= 20_000; seq += 1) {
    const one = pending(seq, seq % 8);
    attempts.begin(one);
    expect(used.has(one.id)).toBe(false);
    used.add(one.id);
    alive.set(one.id, one);
    for (const [id, old] of alive) {
      if (random.next() < 0.5 || alive.size < 3_000) break;
      attempts.end(old);
      alive.delete(id);
    }
  }
  expect(attempts.size).toBe(alive.size);
  for (const [id, one] of alive) expect(attempts.get(id)).toBe(one);
  const seen: Pending[] = [];
  attempts.forEach((one) => seen.push(one));
  expect(new Set(seen)).toEqual(new Set(alive.values()));
  const odd = attempts.filter(({ shard }) => shard % 2 === 1).map(({ seq }) => seq);
  expect(odd).toEqual([...alive.values()].filter(({ shard }) => shard % 2 === 1).map(({ seq }) => seq));
  for (let shard = 0; shard < 8; shard += 1) {
    expect(attempts.of(shard)).toBe([...alive.values()].filter((one) => one.shard === shard).length);
  }
});

test('an attempt that outlasts thousands of others is found among the latest, and nothing is looked at where none is left', () => {
  const attempts = new Attempts();
  attempts.setShards(1);
  const long = pending(1);
  attempts.begin(long);
  for (let seq = 2; seq <= 5_000; seq += 1) {
    const short = pending(seq);
    attempts.begin(short);
    const seen: number[] = [];
    attempts.forEach((one) => seen.push(one.seq));
    expect(seen.sort((a, b) => a - b)).toEqual([1, seq]);
    attempts.end(short);
  }
  attempts.end(long);
  expect(attempts.some(() => true)).toBe(false);
  const next = pending(5_001);
  attempts.begin(next);
  expect(attempts.filter(() => true)).toEqual([next]);
});

test('of the calls that had waited half as many are under way as of all others, but at least 8 and at most 64', () => {
  const attempts = new Attempts();
  attempts.setShards(4);
  let seq = 0;
  const begun = (hasWaited: boolean): Pending => {
    const one = pending((seq += 1));
    one.hasWaited = hasWaited;
    attempts.begin(one);
    return one;
  };
  const fill = (): Pending[] => {
    const waited: Pending[] = [];
    while (attempts.hasRoom) waited.push(begun(true));
    return waited;
  };
  const few = fill();
  expect(few).toHaveLength(8);
  const others = Array.from({ length: 40 }, () => begun(false));
  expect(fill()).toHaveLength(20 - 8);
  for (let i = 0; i < 1_000; i += 1) begun(false);
  expect(fill()).toHaveLength(64 - 20);
  attempts.end(others[0]!);
  expect(attempts.hasRoom).toBe(false);
  attempts.end(few[0]!);
  expect(attempts.hasRoom).toBe(true);
  begun(true);
  attempts.leaveBehind(few[1]!, 0);
  expect(attempts.hasRoom).toBe(true);
  begun(true);
  attempts.end(few[1]!);
  expect(attempts.hasRoom).toBe(false);
  attempts.end(few[2]!);
  // Its next attempt counts only where it had waited for it.
  attempts.begin(few[2]!);
  expect(attempts.hasRoom).toBe(true);
});
