import { expect, test } from 'vitest';
import { VirtualClock } from './virtual-clock.ts';

test('timers fire by time, then by creation, each at its own time', async () => {
  const clock = new VirtualClock({ originMs: 0 });
  const seen: string[] = [];
  const note = (name: string) => () => seen.push(`${name}@${clock.now()}`);
  clock.setTimer(20, note('c'));
  clock.setTimer(10, note('a'));
  clock.setTimer(10, note('b'));
  clock.setTimer(31, note('d'));
  await clock.advance(30);
  expect(seen).toEqual(['a@10', 'b@10', 'c@20']);
  expect(clock.now()).toBe(30);
  expect(clock.pending).toBe(1);
});

test('a cancelled timer does not fire, and a cancel after firing does nothing', async () => {
  const clock = new VirtualClock();
  let fired = 0;
  const first = clock.setTimer(5, () => (fired += 1));
  const second = clock.setTimer(5, () => (fired += 10));
  second.cancel();
  second.cancel();
  await clock.advance(5);
  first.cancel();
  expect(fired).toBe(1);
  expect(clock.pending).toBe(0);
});

test('timers stay in order when most of many are cancelled', async () => {
  const clock = new VirtualClock({ originMs: 0 });
  const seen: number[] = [];
  const timers = Array.from({ length: 1_000 }, (_, i) => clock.setTimer((i * 7_919) % 1_000, () => seen.push(clock.now())));
  timers.forEach((timer, i) => {
    if (i % 10 !== 0) timer.cancel();
  });
  expect(clock.pending).toBe(100);
  await clock.advance(1_000);
  expect(seen).toHaveLength(100);
  expect(seen).toEqual([...seen].sort((a, b) => a - b));
});

test('between two timers all microtasks and deferred callbacks run, however deep', async () => {
  const clock = new VirtualClock();
  const seen: string[] = [];
  clock.setTimer(10, () => {
    void (async () => {
      for (let i = 0; i < 500; i += 1) await Promise.resolve();
      seen.push('deep microtask');
      clock.defer(() => {
        seen.push('deferred');
        queueMicrotask(() => seen.push('microtask of deferred'));
        clock.defer(() => seen.push('deferred again'));
      });
      clock.defer(() => seen.push('second deferred'));
    })();
  });
  clock.setTimer(10, () => seen.push('next timer'));
  await clock.advance(10);
  expect(seen).toEqual(['deep microtask', 'deferred', 'microtask of deferred', 'second deferred', 'deferred again', 'next timer']);
});

test('settle runs what needs no time, and nothing else', async () => {
  const clock = new VirtualClock();
  const seen: string[] = [];
  clock.setTimer(0, () => seen.push('due'));
  clock.setTimer(1, () => seen.push('later'));
  clock.defer(() => seen.push('deferred'));
  const before = clock.now();
  await clock.settle();
  expect(seen).toEqual(['deferred', 'due']);
  expect(clock.now()).toBe(before);
});

test('a timer set by a timer fires in the same advance when it is due', async () => {
  const clock = new VirtualClock({ originMs: 0 });
  const seen: number[] = [];
  const tick = (): void => {
    seen.push(clock.now());
    clock.setTimer(100, tick);
  };
  clock.setTimer(100, tick);
  await clock.advanceTo(350);
  expect(seen).toEqual([100, 200, 300]);
});

test('until stops at the callback that makes it true, and says in vain for what it waited', async () => {
  const clock = new VirtualClock({ originMs: 0 });
  let done = false;
  clock.setTimer(40, () => (done = true));
  await clock.until(() => done);
  expect(clock.now()).toBe(40);
  await expect(clock.until(() => false, { limitMs: 500, what: 'the impossible' })).rejects.toThrow(/500 ms.*the impossible/);
  expect(clock.now()).toBe(540);
  await expect(clock.until(() => clock.now() < 0, { limitMs: 1 })).rejects.toThrow(/clock\.now\(\) < 0/);
});

test('until sees what depends on time alone, to the step', async () => {
  const clock = new VirtualClock({ originMs: 0 });
  await clock.until(() => clock.now() >= 95);
  expect(clock.now()).toBe(100);
});

test('run gives the outcome of a promise', async () => {
  const clock = new VirtualClock();
  const later = new Promise<string>((resolve) => clock.setTimer(1_000, () => resolve('done')));
  expect(await clock.run(later)).toBe('done');
  await expect(clock.run(Promise.reject(new Error('no')))).rejects.toThrow('no');
  await expect(clock.run(new Promise(() => {}), { limitMs: 10 })).rejects.toThrow(/a promise to settle/);
});

test('the wall clock jumps alone', async () => {
  const clock = new VirtualClock();
  const [now, wall] = [clock.now(), clock.wall()];
  clock.jumpWall(-3_600_000);
  await clock.advance(10);
  expect(clock.now() - now).toBe(10);
  expect(clock.wall() - wall).toBe(10 - 3_600_000);
});

test('a fork runs at its own rate, and no timer fires before its local time', async () => {
  const clock = new VirtualClock();
  const fast = clock.fork({ rate: 1.1 });
  const started = fast.now();
  let firedAt = 0;
  fast.setTimer(33, () => (firedAt = fast.now()));
  await clock.advance(29.9);
  expect(firedAt).toBe(0);
  await clock.advance(0.2);
  expect(firedAt).toBeGreaterThanOrEqual(started + 33);
  fast.rate = 0;
  const stopped = fast.now();
  fast.setTimer(1, () => (firedAt = -1));
  await clock.advance(10_000);
  expect(fast.now()).toBe(stopped);
  expect(firedAt).not.toBe(-1);
  fast.rate = 1;
  await fast.advance(1);
  expect(firedAt).toBe(-1);
  expect(fast.trueMs).toBe(clock.trueMs);
});

test('a frozen process runs nothing, and everything in order once it is thawed', async () => {
  const clock = new VirtualClock();
  const other = clock.fork();
  const seen: string[] = [];
  other.setTimer(10, () => seen.push('timer'));
  other.defer(() => seen.push('deferred'));
  clock.setTimer(10, () => seen.push('mine'));
  other.freeze();
  await clock.advance(50);
  expect(seen).toEqual(['mine']);
  other.thaw();
  await clock.settle();
  expect(seen).toEqual(['mine', 'deferred', 'timer']);
});

test('a process frozen by a deferred callback keeps the callbacks after it', async () => {
  const clock = new VirtualClock();
  const seen: string[] = [];
  clock.defer(() => clock.freeze());
  clock.defer(() => seen.push('first'));
  clock.defer(() => seen.push('second'));
  await clock.settle();
  expect(seen).toEqual([]);
  clock.thaw();
  await clock.settle();
  expect(seen).toEqual(['first', 'second']);
});

test('a killed process never runs again', async () => {
  const clock = new VirtualClock();
  const other = clock.fork();
  let ran = 0;
  other.setTimer(1, () => (ran += 1));
  other.defer(() => (ran += 1));
  other.kill();
  other.setTimer(1, () => (ran += 1));
  other.defer(() => (ran += 1));
  await clock.advance(10);
  expect(ran).toBe(0);
  expect(other.pending).toBe(0);
});

test('the first error of a callback rejects the advance, and the clock goes on after it', async () => {
  const clock = new VirtualClock();
  let after = 0;
  clock.setTimer(1, () => {
    throw new Error('from a timer');
  });
  clock.setTimer(2, () => (after += 1));
  await expect(clock.advance(10)).rejects.toThrow('from a timer');
  await clock.advance(10);
  expect(after).toBe(1);
});

test('time cannot be moved by two at once, nor backwards, and a loop without time is found', async () => {
  const clock = new VirtualClock();
  const first = clock.advance(1);
  await expect(clock.advance(1)).rejects.toThrow(/already moving/);
  await first;
  await expect(clock.advance(-1)).rejects.toThrow(RangeError);
  await expect(clock.advanceTo(0)).rejects.toThrow(RangeError);
  expect(() => clock.fork({ rate: -1 })).toThrow(RangeError);
  const again = (): void => void clock.setTimer(0, again);
  again();
  await expect(clock.advance(1)).rejects.toThrow(/stands still/);
});
