import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineActor } from '../actor/definition.ts';
import { TestCluster } from '../testkit/test-cluster.ts';

const Host = defineActor('host', {
  knock: { input: z.object({ guest: z.string() }) },
  greet: { input: z.object({ guest: z.string() }), output: z.int() },
});
const Guest = defineActor('guest', { visit: { input: z.object({ host: z.string() }), output: z.int() } });

const settings = { shards: 16 };
const guests = Array.from({ length: 60 }, (_, i) => `guest-${i}`);

/**
 * Guests that come in, wait at the door, then knock at another actor and greet it: calls between all shards, in many circles. The answer is how
 * often the guest has knocked by then.
 */
async function party(nodes: number, seed = 1) {
  const door = Promise.withResolvers<void>();
  let inside = 0;
  const host = Host.host({
    state: (): Record<string, number> => ({}),
    knock: (ctx, { guest: from }) => void (ctx.state[from] = (ctx.state[from] ?? 0) + 1),
    greet: (ctx, { guest: from }) => ctx.state[from] ?? 0,
  });
  const guest = Guest.host({
    state: () => ({}),
    async visit(ctx, input) {
      inside += 1;
      await door.promise;
      ctx.notify(Host, input.host).knock({ guest: ctx.key });
      return ctx.actor(Host, input.host).greet({ guest: ctx.key });
    },
  });
  const cluster = await TestCluster.start({ actors: [host, guest], nodes, settings, seed });
  const visits = Promise.allSettled(
    guests.map((key, i) => cluster.client.actor(Guest, key).visit({ host: `host-${(i * 7 + 3) % guests.length}` }, { timeoutMs: 60_000 })),
  );
  await cluster.clock.until(() => inside === guests.length);
  const outcomes = async (): Promise<unknown[]> => {
    const settled = await cluster.run(visits);
    return settled.map((one) => (one.status === 'fulfilled' ? one.value : (one.reason as { code: string }).code));
  };
  return { cluster, outcomes, open: () => door.resolve(), all: guests.map(() => 1) };
}

test('turns that call each other across the shards of a node that leaves end, and it leaves at once', async () => {
  const { cluster, outcomes, open, all } = await party(3);
  const left = cluster.node('node-0').stop();
  await cluster.advance(200);
  const openedAt = cluster.clock.trueMs;
  open();
  expect(await outcomes()).toEqual(all);
  await cluster.run(left);
  expect(cluster.clock.trueMs - openedAt).toBeLessThan(1_000);
  await cluster.stop();
});

test('the same where several nodes give shards to one that comes', async () => {
  const { cluster, outcomes, open, all } = await party(2);
  await cluster.addNode();
  await cluster.advance(2_000);
  const openedAt = cluster.clock.trueMs;
  open();
  expect(await outcomes()).toEqual(all);
  await cluster.settled();
  expect(cluster.clock.trueMs - openedAt).toBeLessThan(1_000);
  await cluster.stop();
});

test.each(Array.from({ length: 12 }, (_, seed) => seed))(
  'nodes that leave and come at once, %#: turns end, and what one sends keeps its order',
  async (seed) => {
    const { cluster, outcomes, open, all } = await party(3, seed);
    await cluster.addNode();
    const left = [cluster.node('node-0').stop(), cluster.node('node-1').stop()];
    await cluster.advance(seed * 97);
    open();
    expect(await outcomes()).toEqual(all);
    await cluster.run(Promise.all(left));
    await cluster.stop();
  },
);
