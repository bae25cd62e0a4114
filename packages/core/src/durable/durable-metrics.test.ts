import { expect, test } from 'vitest';
import { account, ask, counter, settled } from '../testkit/accounts.ts';
import type { ActorFixture } from '../testkit/actor-fixture.ts';
import { DurableWorld } from '../testkit/durable-fixture.ts';

/** Names of the families of which some series says more than nothing. */
function set(...nodes: readonly ActorFixture[]): ReadonlySet<string> {
  const names = new Set<string>();
  for (const { metrics } of nodes) {
    for (const { name, series } of metrics.snapshot()) {
      if (series.some((one) => ('value' in one ? one.value > 0 : one.counts.some((count) => count > 0)))) names.add(name);
    }
  }
  return names;
}

test('every instrument of durable actors counts something when there is something to count', async () => {
  const world = await DurableWorld.start();
  const durable = { snapshotEvery: 2, commitSettleMs: 1_000 };
  const first = world.node([account, counter], { durable });
  await ask(world, first, 'many', { count: 4 });
  await settled(world, first.ask('counter', 'a', 'add', 1));
  world.faults.nextAppends('conflict');
  await ask(world, first, 'deposit', { amount: 1n });
  world.faults.nextAppends('lost');
  world.faults.slow(20);
  const unknown = first.ask('account', 'alice', 'deposit', { amount: 1n });
  await world.clock.advance(15);
  world.faults.unavailable();
  await settled(world, unknown);
  await ask(world, first, 'balance');
  world.faults.heal();
  const second = world.node([account], { durable: { ...durable, snapshotEvery: 0 } });
  await ask(world, second, 'many', { count: 3 });
  await ask(world, first, 'balance');
  const third = world.node([account], { durable });
  await ask(world, third, 'balance');
  const declared = new Set(
    [first, second, third]
      .flatMap(({ metrics }) => metrics.snapshot().map(({ name }) => name))
      .filter((name) => /_(durable|store|snapshot)_/.test(name)),
  );
  const counted = set(first, second, third);
  expect([...declared].filter((name) => !counted.has(name))).toEqual([]);
  expect([...declared].filter((name) => name.startsWith('perkey_durable_'))).toHaveLength(9);
});
