import { expect, test } from 'vitest';
import { z } from 'zod';
import { ActorFixture } from '../testkit/actor-fixture.ts';
import { defineActor } from './definition.ts';
import { lineLeast, LinePace } from './line-pace.ts';

const Worker = defineActor('worker', { work: { output: z.number() } });

/** Actors whose every turn takes 1 ms, and that ask in the middle of one turn. */
function busy(atTurn: number, inTheMiddle: (fixture: ActorFixture) => void): ActorFixture {
  let turns = 0;
  let spentMs = 0;
  const worker = Worker.host({
    state: () => ({ done: 0 }),
    work(ctx) {
      turns += 1;
      spentMs += 1;
      if (turns === atTurn) inTheMiddle(fixture);
      return (ctx.state.done += 1);
    },
  });
  const fixture = new ActorFixture([worker]);
  const now = fixture.clock.now.bind(fixture.clock);
  fixture.clock.now = () => now() + spentMs;
  return fixture;
}

test('a request that would wait for too large a part of its time is refused at once, and one that has the time is not', async () => {
  const outcomes: (readonly [string, number | undefined])[] = [];
  const told: unknown[] = [];
  const fixture = busy(100, (one) => {
    for (const leftMs of [50, 370, 430, 10_000]) {
      const asked = one.ask('worker', `new-${leftMs}`, 'work', {}, { deadline: one.clock.now() + leftMs });
      outcomes.push([asked.outcome, asked.error?.retryAfterMs]);
      if (asked.error) told.push(asked.error.details['leftMs']);
    }
  });
  const asked = Array.from({ length: 300 }, (_, i) => fixture.ask('worker', `k${i % 30}`, 'work'));
  await fixture.clock.settle();
  // 200 turns of 1 ms are in line.
  expect(outcomes.map(([outcome]) => outcome)).toEqual(['node.overloaded', 'node.overloaded', 'waiting', 'waiting']);
  // By the clock at the end of the turn before.
  expect(told).toEqual([51, 371]);
  expect(outcomes[0]?.[1]).toBeGreaterThan(150);
  expect(outcomes[0]?.[1]).toBeLessThan(250);
  expect(new Set(asked.map(({ outcome }) => outcome))).toEqual(new Set(['ok']));
  expect(fixture.ask('worker', 'later', 'work', {}, { deadline: fixture.clock.now() + 10 }).outcome).toBe('ok');
});

test('a request whose actor has nothing before it is not refused for a line of other actors that wait for something else', async () => {
  const Slow = defineActor('slow', { wait: {}, ping: {} });
  const slow = Slow.host({ state: () => 0, wait: () => new Promise<void>(() => {}), ping: () => {} });
  const fixture = new ActorFixture([slow]);
  fixture.ask('slow', 'a', 'wait');
  for (let i = 0; i < 500; i += 1) fixture.ask('slow', 'a', 'ping');
  await fixture.clock.advance(1_000);
  expect(fixture.ask('slow', 'b', 'ping', {}, { deadline: fixture.clock.now() + 5 }).outcome).toBe('ok');
});

test('the pace is known after some have left, forgets slowly, and knows no pause', () => {
  const pace = new LinePace();
  let now = 1_000;
  const leave = (count: number, eachMs: number): void => {
    for (let i = 0; i < count; i += 1) pace.left((now += eachMs));
  };
  expect(pace.estimateMs(lineLeast, now)).toBe(0);
  leave(7, 2);
  expect(pace.estimateMs(lineLeast, now)).toBe(0);
  leave(1, 2);
  expect(pace.estimateMs(lineLeast, now)).toBeCloseTo(lineLeast * 2);
  leave(1, 5_000);
  expect(pace.estimateMs(100, now)).toBeCloseTo(178, 0);
  for (let i = 0; i < 20; i += 1) {
    leave(256, 1);
    pace.estimateMs(100, now);
  }
  expect(pace.estimateMs(100, now)).toBeCloseTo(100, 0);
  pace.reset();
  expect(pace.estimateMs(100, now)).toBe(0);
});
