import { expect, test } from 'vitest';
import { seededRandom } from '../base/random.ts';
import { VirtualClock } from '../testkit/virtual-clock.ts';
import { Deadlines } from './deadlines.ts';

function world() {
  const clock = new VirtualClock({ originMs: 0 });
  const open: number[] = [];
  const ended: { readonly deadline: number; readonly at: number }[] = [];
  let looks = 0;
  const deadlines = new Deadlines(clock, (now) => {
    looks += 1;
    for (const deadline of open.filter((one) => one <= now)) {
      open.splice(open.indexOf(deadline), 1);
      ended.push({ deadline, at: now });
    }
    return Math.min(Number.POSITIVE_INFINITY, ...open);
  });
  const add = (deadline: number): void => {
    open.push(deadline);
    deadlines.watch(deadline);
  };
  return { clock, deadlines, add, open, ended, looks: () => looks };
}

test('every deadline is seen when it has passed, at most a few milliseconds late', async () => {
  const { clock, add, open, ended } = world();
  const random = seededRandom(5);
  for (let i = 0; i < 500; i += 1) {
    add(clock.now() + random.next() * 1_000);
    if (i % 5 === 0) await clock.advance(random.next() * 20);
  }
  await clock.advance(2_000);
  expect([open.length, ended.length, clock.pending]).toEqual([0, 500, 0]);
  for (const { deadline, at } of ended) {
    expect(at).toBeGreaterThanOrEqual(deadline);
    expect(at - deadline).toBeLessThan(7);
  }
});

test('deadlines that are close together share a look', async () => {
  const { clock, add, looks } = world();
  for (let i = 0; i < 1_000; i += 1) add(100 + i / 1_000);
  await clock.advance(200);
  expect(looks()).toBeLessThan(4);
});

test('a deadline beyond the longest timer is waited for in pieces', async () => {
  const { clock, add, ended, looks } = world();
  add(2 ** 32);
  await clock.advance(2 ** 32 - 10);
  expect(ended).toEqual([]);
  await clock.advance(20);
  expect([ended.length, looks() < 80_000]).toEqual([1, true]);
});

test('no deadline, and none after the end', async () => {
  const { clock, deadlines, add } = world();
  deadlines.watch(Number.POSITIVE_INFINITY);
  deadlines.watch(Number.NaN);
  expect(clock.pending).toBe(0);
  add(100);
  deadlines.stop();
  deadlines.watch(50);
  await clock.advance(200);
  expect(clock.pending).toBe(0);
});
