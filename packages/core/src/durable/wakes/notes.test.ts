import { expect, test } from 'vitest';
import { DurableWorld } from '../../testkit/durable-fixture.ts';
import { errand, inbox } from '../../testkit/errands.ts';

test.each(['unavailable', 'full'] as const)(
  'that messages were delivered is noted now and then while the store is %s, not again and again at once',
  async (fault) => {
    const world = await DurableWorld.start();
    const node = world.node([errand, inbox], { durable: { outboxNoteMs: 500, wakeBackoffMs: 20, wakeBackoffMaxMs: 200 } });
    node.ask('errand', 'a', 'send', { from: 1, count: 3 });
    await world.clock.advance(300);
    expect(world.published).toHaveLength(3);
    world.faults[fault]();
    await world.clock.advance(10_000);
    const tries = node.metric('perkey_wakes_total') ?? 0;
    expect(tries).toBeGreaterThan(20);
    expect(tries).toBeLessThan(100);
    world.faults.heal();
    await world.clock.advance(60_000);
    expect([world.published.length, await world.wakes()]).toEqual([3, []]);
  },
);
