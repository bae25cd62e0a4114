import { expect, test } from 'vitest';
import { CallWorld } from '../testkit/call-world/call-world.ts';
import { breaches, tally } from '../testkit/call-world/checks.ts';

const seeds = Array.from({ length: 24 }, (_, i) => i + 1);

test.each(seeds)('whatever breaks, callers are told the truth, in time, and their calls keep their order (seed %d)', async (seed) => {
  const world = new CallWorld({ seed });
  await world.run(600, true);
  expect(breaches(world)).toEqual([]);
  expect(tally(world).ok).toBeGreaterThan(100);
});

test.each(seeds.slice(0, 8))('handoffs that fail and begin anew break no promise (seed %d)', async (seed) => {
  const world = new CallWorld({ seed, handoffFails: 0.5 });
  await world.run(600, false);
  expect(breaches(world)).toEqual([]);
});

test.each(seeds.slice(0, 8))('shards that move all the time cost no call (seed %d)', async (seed) => {
  const world = new CallWorld({ seed, handoffFails: 0, patient: true });
  await world.run(600, false);
  expect(breaches(world)).toEqual([]);
  const codes = world.callers.flatMap(({ calls }) => calls.flatMap(({ error }) => (error ? [error.code] : [])));
  expect(new Set(codes)).toEqual(new Set(['handler.failed', 'mailbox.full']));
});
