import { expect, test } from 'vitest';
import { z } from 'zod';
import { ActorFixture } from '../testkit/actor-fixture.ts';
import { defineActor } from './definition.ts';

const Counter = defineActor('counter', { add: { output: z.number() }, wait: { output: z.number() } });

function host() {
  const gates: (() => void)[] = [];
  const counter = Counter.host({
    state: () => ({ n: 0 }),
    add: (ctx) => (ctx.state.n += 1),
    async wait(ctx) {
      await new Promise<void>((resolve) => gates.push(resolve));
      return (ctx.state.n += 10);
    },
  });
  const fixture = new ActorFixture([counter]);
  fixture.ask('counter', 'a', 'add');
  const control = fixture.host.control('counter', 'a');
  if (control === undefined) throw new Error('not resident');
  return { fixture, control, gates };
}

test('a paused actor takes requests and runs none until it is stepped or resumed', async () => {
  const { fixture, control, gates } = host();
  control.pause();
  const asked = [fixture.ask('counter', 'a', 'add'), fixture.ask('counter', 'a', 'wait'), fixture.ask('counter', 'a', 'add')];
  const outcomes = () => asked.map((one) => one.outcome);
  await fixture.clock.advance(100);
  expect([control.status, control.waiting, ...outcomes()]).toEqual(['paused', 3, 'waiting', 'waiting', 'waiting']);
  expect(await control.step()).toBe(true);
  expect(outcomes()).toEqual(['ok', 'waiting', 'waiting']);
  const step = control.step();
  expect(control.status).toBe('running');
  expect(await control.step()).toBe(false);
  gates[0]?.();
  expect(await step).toBe(true);
  expect(outcomes()).toEqual(['ok', 'ok', 'waiting']);
  expect(control.state()).toEqual({ n: 12 });
  control.resume();
  expect([control.status, asked[2]?.value]).toEqual(['idle', 13]);
  expect(await control.step()).toBe(false);
});

test('requests of a paused actor expire', async () => {
  const { fixture, control } = host();
  control.pause();
  const asked = fixture.ask('counter', 'a', 'add', undefined, { deadline: fixture.clock.now() + 50 });
  await fixture.clock.advance(100);
  expect(asked.outcome).toBe('request.expired');
});

test('an actor that is paused in the middle of a turn ends it first', async () => {
  const { fixture, control, gates } = host();
  const asked = [fixture.ask('counter', 'a', 'wait'), fixture.ask('counter', 'a', 'add')];
  control.pause();
  gates[0]?.();
  await fixture.clock.settle();
  expect([control.status, ...asked.map((one) => one.outcome)]).toEqual(['paused', 'ok', 'waiting']);
  control.resume();
  expect(asked[1]?.value).toBe(12);
});

test('a paused actor is not held by the watch after it left', async () => {
  const { fixture, control } = host();
  control.pause();
  fixture.host.dropShard(0);
  await fixture.clock.advance(100);
  expect([control.status, fixture.clock.pending]).toEqual(['gone', 0]);
});

test('there is no hold on what is not resident', () => {
  const { fixture, control } = host();
  expect(fixture.host.control('counter', 'b')).toBeUndefined();
  expect(fixture.host.control('nope', 'a')).toBeUndefined();
  const copy = control.state() as { n: number };
  copy.n = 99;
  expect(control.state()).toEqual({ n: 1 });
});

test('the deepest mailboxes are shown first', () => {
  const { fixture } = host();
  for (const [key, count] of [
    ['x', 1],
    ['y', 3],
    ['z', 2],
  ] as const) {
    for (let i = 0; i <= count; i += 1) fixture.ask('counter', key, 'wait');
  }
  expect(fixture.host.inspect(2).deepest).toEqual([
    { type: 'counter', key: 'y', waiting: 3, status: 'running' },
    { type: 'counter', key: 'z', waiting: 2, status: 'running' },
  ]);
  expect(fixture.host.inspect()).toMatchObject({
    shards: 1,
    resident: 4,
    residentByType: { counter: 4 },
    waiting: 6,
    running: 3,
    quarantined: 0,
  });
});
