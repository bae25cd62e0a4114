import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineActor } from '../actor/definition.ts';
import { memoryStore } from '../memory/memory-store.ts';
import { TestCluster } from '../testkit/test-cluster.ts';

const Sender = defineActor('sender', { send: { input: z.object({ to: z.string(), count: z.int() }) } });
const Slow = defineActor('slow', { take: { input: z.string() }, taken: { output: z.array(z.string()), readonly: true } });

const keys = Array.from({ length: 40 }, (_, i) => `key-${i}`);

test('shards whose outboxes deliver to each other do not wait for each other when they leave', async () => {
  let work = (): Promise<void> => Promise.resolve();
  const sender = Sender.host({
    state: () => ({ sent: 0 }),
    persist: 'state',
    send(ctx, { to, count }) {
      for (let i = 0; i < count; i += 1) ctx.outbox.actor(Slow, to).take(`${ctx.key} ${i}`);
      ctx.state.sent += count;
    },
  });
  const slow = Slow.host({
    state: () => ({ taken: [] as string[] }),
    persist: 'state',
    async take(ctx, one) {
      await work();
      ctx.state.taken.push(one);
    },
    taken: (ctx) => ctx.state.taken,
  });
  const cluster = await TestCluster.start({ actors: [sender, slow], store: memoryStore(), settings: { shards: 16 }, nodes: 3 });
  work = () => new Promise((resolve) => cluster.clock.setTimer(150, resolve));
  const to = (i: number): string => keys[(i * 4 + 3) % keys.length] ?? '';
  await cluster.run(Promise.all(keys.map((key, i) => cluster.client.actor(Sender, key).send({ to: to(i), count: 10 }))));
  const before = cluster.clock.trueMs;
  await cluster.stopNode('node-0');
  expect(cluster.clock.trueMs - before).toBeLessThan(1_000);
  await cluster.advance(20_000);
  const all = (await cluster.run(Promise.all(keys.map((key) => cluster.client.actor(Slow, key).taken())))).flat();
  for (const key of keys) {
    const ofKey = all.filter((one) => one.startsWith(`${key} `));
    expect(ofKey).toEqual(Array.from({ length: 10 }, (_, i) => `${key} ${i}`));
  }
  await cluster.stop();
});
