import { expect, test } from 'vitest';
import { settled } from '../../testkit/accounts.ts';
import { DurableWorld } from '../../testkit/durable-fixture.ts';
import { errand, inbox } from '../../testkit/errands.ts';

test('every metric of wakes, outboxes and reminders is set by what it counts', async () => {
  const world = await DurableWorld.start();
  const node = world.node([errand, inbox], {
    durable: { outboxAttemptsMax: 2, reminderAttemptsMax: 1 },
    publish: (inner) => async (publication) => {
      await new Promise<void>((resolve) => void world.clock.setTimer(20, resolve));
      return inner(publication);
    },
  });
  const ask = async (method: string, input: unknown): Promise<void> => {
    expect((await settled(world, node.ask('errand', 'a', method, input))).outcome).toBe('ok');
  };
  const seen = new Map<string, number>();
  const look = (): void => {
    for (const { name, series } of node.metrics.snapshot()) {
      if (!/^perkey_(wake|outbox|reminder)/.test(name)) continue;
      for (const one of series) {
        const id = `${name} ${Object.values(one.labels).join()}`.trim();
        const value = 'value' in one ? one.value : one.counts.reduce((sum, count) => sum + count, 0);
        seen.set(id, Math.max(value, seen.get(id) ?? 0));
      }
    }
  };
  await ask('send', { from: 1, to: 'subject' });
  look();
  await ask('send', { from: 2, to: 'inbox' });
  await ask('send', { from: 3, to: 'nobody' });
  await ask('remind', { name: 'good', at: world.clock.wall() + 500 });
  await ask('remind', { name: 'bad', at: world.clock.wall() + 500, method: 'fail' });
  await world.clock.advance(20_000);
  look();
  expect(Object.fromEntries([...seen].filter(([, value]) => value === 0))).toEqual({});
  expect([...seen.keys()]).toHaveLength(14);
});
