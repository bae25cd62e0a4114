import { expect, test } from 'vitest';
import { z } from 'zod';
import { ActorFixture } from '../testkit/actor-fixture.ts';
import { defineActor } from './definition.ts';

const Stuck = defineActor('stuck', { hang: {}, get: { output: z.number() } });

function host(turnTimeoutMs?: number) {
  const gates: (() => void)[] = [];
  const seen: { signal?: AbortSignal; late?: unknown } = {};
  const stuck = Stuck.host({
    state: () => ({ n: 0 }),
    async hang(ctx) {
      ctx.state.n += 1;
      seen.signal = ctx.signal;
      await new Promise<void>((resolve) => gates.push(resolve));
      try {
        ctx.state.n += 100;
      } catch (error) {
        seen.late = error;
        throw error;
      }
    },
    get: (ctx) => ctx.state.n,
    timers: { tick: (ctx) => void (ctx.state.n += 1_000) },
    ...(turnTimeoutMs === undefined ? {} : { turnTimeoutMs }),
  });
  return { fixture: new ActorFixture([stuck], { settings: { turnTimeoutMs: 1_000 } }), gates, seen };
}

test('F16: a turn that does not settle quarantines its actor, and nothing else', async () => {
  const { fixture, seen } = host();
  const hung = fixture.ask('stuck', 'a', 'hang', undefined, { deadline: Infinity });
  const queued = fixture.ask('stuck', 'a', 'get');
  await fixture.clock.advance(990);
  expect([hung.outcome, queued.outcome]).toEqual(['waiting', 'waiting']);
  await fixture.clock.advance(50);
  expect(hung.error).toMatchObject({ code: 'turn.timeout', executed: 'unknown' });
  expect(queued.error).toMatchObject({ code: 'actor.quarantined', executed: 'no' });
  expect(seen.signal?.reason).toMatchObject({ code: 'turn.timeout' });
  expect(fixture.ask('stuck', 'a', 'get').outcome).toBe('actor.quarantined');
  expect(fixture.ask('stuck', 'b', 'get').outcome).toBe('ok');
  expect(fixture.host.inspect()).toMatchObject({ quarantined: 1, running: 0, waiting: 0 });
  expect(fixture.metric('perkey_actor_turn_timeouts_total', 'type=stuck')).toBe(1);
  expect(fixture.lines).toMatchObject([{ level: 'warn', fields: { type: 'stuck', key: 'a', where: 'hang', turnTimeoutMs: 1_000 } }]);
});

test('a quarantined turn that settles lifts the quarantine; its context no longer works', async () => {
  const { fixture, gates, seen } = host();
  fixture.ask('stuck', 'a', 'hang');
  await fixture.clock.advance(1_100);
  gates[0]?.();
  await fixture.clock.settle();
  expect(seen.late).toMatchObject({ code: 'turn.abandoned' });
  expect(fixture.ask('stuck', 'a', 'get').value).toBe(1);
  expect(fixture.host.inspect().quarantined).toBe(0);
});

test('a quarantined actor leaves with its shard at once', async () => {
  const { fixture, gates } = host();
  fixture.ask('stuck', 'a', 'hang');
  await fixture.clock.advance(1_100);
  const carried = await fixture.clock.run(fixture.host.closeShard(0, { drainMs: 5_000, successor: 'b' }), { limitMs: 10 });
  expect(carried).toEqual([{ type: 'stuck', key: 'a', state: { n: 1 } }]);
  expect(fixture.host.inspect()).toMatchObject({ quarantined: 0, resident: 0 });
  gates[0]?.();
  await fixture.clock.settle();
  expect(fixture.host.inspect().quarantined).toBe(0);
});

test('a definition may wait longer, or for ever', async () => {
  const patient = host(3_000);
  const forever = host(0);
  const asked = [patient, forever].map(({ fixture }) => fixture.ask('stuck', 'a', 'hang'));
  await patient.fixture.clock.advance(2_000);
  expect(asked[0]?.outcome).toBe('waiting');
  await patient.fixture.clock.advance(1_100);
  expect(asked[0]?.outcome).toBe('turn.timeout');
  await forever.fixture.clock.advance(100_000);
  expect(asked[1]?.outcome).toBe('waiting');
});
