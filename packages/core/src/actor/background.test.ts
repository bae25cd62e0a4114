import { expect, test } from 'vitest';
import { z } from 'zod';
import { ActorFixture } from '../testkit/actor-fixture.ts';
import { defineActor } from './definition.ts';

const Worker = defineActor('worker', { start: { input: z.number() }, fail: {}, done: { input: z.number() }, get: { output: z.number() } });

function host() {
  const gates: (() => void)[] = [];
  const worker = Worker.host({
    state: () => ({ n: 0 }),
    start: (ctx, n) =>
      ctx.background('count', async ({ self, log }) => {
        log.info({ n }, 'working');
        await new Promise<void>((resolve) => gates.push(resolve));
        self.done(n);
      }),
    fail: (ctx) =>
      ctx.background(async () => {
        throw new Error('behind');
      }),
    done: (ctx, n) => void (ctx.state.n += n),
    get: (ctx) => ctx.state.n,
    passivateAfterMs: 1_000,
  });
  return { fixture: new ActorFixture([worker], { settings: { backgroundMax: 2 } }), gates };
}

test('background work runs beside turns and comes back as one', async () => {
  const { fixture, gates } = host();
  expect(fixture.ask('worker', 'a', 'start', 5).outcome).toBe('ok');
  await fixture.clock.settle();
  expect(fixture.ask('worker', 'a', 'get').value).toBe(0);
  expect(fixture.metric('perkey_actor_background_running')).toBe(1);
  gates[0]?.();
  await fixture.clock.settle();
  expect(fixture.ask('worker', 'a', 'get').value).toBe(5);
  expect(fixture.metric('perkey_actor_background_running')).toBe(0);
  expect(fixture.lines).toEqual([{ level: 'info', fields: { type: 'worker', key: 'a', n: 5 }, message: 'working' }]);
});

test('background work keeps its actor, and is bounded', async () => {
  const { fixture, gates } = host();
  for (let i = 0; i < 2; i += 1) fixture.ask('worker', 'a', 'start', 1);
  expect(fixture.ask('worker', 'a', 'start', 1).error).toMatchObject({ code: 'handler.failed', details: { cause: 'node.overloaded' } });
  await fixture.clock.advance(3_000);
  expect(fixture.host.inspect().resident).toBe(1);
  for (const gate of gates) gate();
  await fixture.clock.settle();
  expect(fixture.ask('worker', 'a', 'get').value).toBe(2);
  await fixture.clock.advance(2_100);
  expect(fixture.host.inspect().resident).toBe(0);
});

test('background work that fails is logged and counted', async () => {
  const { fixture } = host();
  fixture.ask('worker', 'a', 'fail');
  await fixture.clock.settle();
  expect(fixture.lines).toMatchObject([
    { level: 'error', fields: { type: 'worker', key: 'a', where: 'background.work', err: { message: 'behind' } } },
  ]);
  expect(fixture.metric('perkey_actor_failures_total', 'type=worker')).toBe(1);
});
