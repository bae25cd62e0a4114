import { expect, test } from 'vitest';
import { ReadingPace } from './reading-pace.ts';

/** Time passes only where a handler takes it, and a turn of the event loop ends only where the test says so. */
class Loop {
  nowMs = 0;
  paused = false;
  readonly handled: number[] = [];
  readonly pace: ReadingPace<number>;
  #deferred: (() => void)[] = [];

  constructor() {
    const clock = {
      now: () => this.nowMs,
      wall: () => 0,
      setTimer: () => ({ cancel: () => undefined }),
      defer: (run: () => void) => void this.#deferred.push(run),
    };
    this.pace = new ReadingPace<number>(clock, { pause: () => (this.paused = true), resume: () => (this.paused = false) });
  }

  /** What is handled takes 1 ms. */
  readonly handle = (message: number): void => {
    this.nowMs += 1;
    this.handled.push(message);
  };

  arrive(from: number, to: number, handle: (message: number) => void = this.handle): void {
    for (let message = from; message < to; message += 1) this.pace.take(handle, message);
  }

  turn(): void {
    for (const run of this.#deferred.splice(0)) run();
  }
}

const upTo = (end: number): number[] => Array.from({ length: end }, (_, i) => i);

test('a flood is handled over several turns of the event loop, in its order, and its socket is not read meanwhile', () => {
  const loop = new Loop();
  loop.arrive(0, 10);
  expect(loop.handled).toEqual(upTo(4));
  expect(loop.paused).toBe(true);
  loop.turn();
  expect(loop.handled).toEqual(upTo(8));
  // What had been read already waits behind the others.
  loop.arrive(10, 11);
  expect(loop.handled).toEqual(upTo(8));
  expect(loop.paused).toBe(true);
  loop.turn();
  expect(loop.handled).toEqual(upTo(11));
  expect(loop.paused).toBe(false);
});

test('what comes a little at a time is handled at once, however much it is in all', () => {
  const loop = new Loop();
  for (let turn = 0; turn < 20; turn += 1) {
    loop.arrive(turn * 3, turn * 3 + 3);
    expect(loop.handled).toEqual(upTo(turn * 3 + 3));
    loop.turn();
  }
  expect(loop.paused).toBe(false);
});

test('one that takes long by itself holds up the next turn by itself only', () => {
  const loop = new Loop();
  const slowly = (message: number): void => {
    loop.nowMs += 100;
    loop.handled.push(message);
  };
  loop.arrive(0, 3, slowly);
  expect(loop.handled).toEqual([0]);
  loop.turn();
  expect(loop.handled).toEqual([0, 1]);
  loop.turn();
  expect(loop.handled).toEqual([0, 1, 2]);
  expect(loop.paused).toBe(false);
});

test('who waits for the rest is told when nothing waits any more, and what is dropped is never handled', async () => {
  const loop = new Loop();
  const told: string[] = [];
  await loop.pace.idle();
  loop.arrive(0, 6);
  const settled = loop.pace.idle().then(() => told.push('settled'));
  await Promise.resolve();
  expect(told).toEqual([]);
  loop.turn();
  await settled;
  expect(told).toEqual(['settled']);
  loop.turn();
  loop.arrive(6, 20, (message) => {
    loop.handle(message);
    if (message === 11) loop.pace.drop();
  });
  loop.turn();
  loop.turn();
  expect(loop.handled).toEqual(upTo(12));
  expect(loop.paused).toBe(false);
  await loop.pace.idle();
});
