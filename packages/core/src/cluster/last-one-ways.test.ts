import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineActor } from '../actor/definition.ts';
import { TestCluster } from '../testkit/test-cluster.ts';

const Counter = defineActor('counter', { add: {}, get: { output: z.int(), readonly: true } });
const counter = Counter.host({
  state: () => ({ value: 0 }),
  add: (ctx) => void (ctx.state.value += 1),
  get: (ctx) => ctx.state.value,
});

const keys = Array.from({ length: 30 }, (_, i) => `key-${i}`);

/** Five nodes, of which one has died a moment ago: its shards have no owner yet. */
async function withoutOne(seed: number): Promise<TestCluster> {
  const cluster = await TestCluster.start({ actors: [counter], settings: { shards: 16 }, nodes: 5, seed });
  await cluster.advance(2_000);
  cluster.killNode('node-1');
  await cluster.advance(100);
  return cluster;
}

async function values(cluster: TestCluster): Promise<number[]> {
  await cluster.addNode('reader');
  await cluster.settled();
  const reader = cluster.node('reader');
  return cluster.run(Promise.all(keys.map((key) => reader.actor(Counter, key).get())));
}

test('a node that leaves takes none of its one-way messages along for whose shards there is no owner yet', async () => {
  const cluster = await withoutOne(1);
  for (const key of keys) cluster.node('node-0').notifyActor(Counter, key).add();
  await cluster.stopNode('node-0');
  expect(await values(cluster)).toEqual(keys.map(() => 1));
  await cluster.stop();
});

test('nor does a client that closes', async () => {
  const cluster = await withoutOne(2);
  const { client } = cluster;
  for (const key of keys) client.notifyActor(Counter, key).add();
  const closed = client.close();
  expect(() => client.notifyActor(Counter, 'late').add()).toThrow('closed');
  await cluster.run(closed);
  expect(await values(cluster)).toEqual(keys.map(() => 1));
  await cluster.stop();
});

test('a node whose one-way messages nobody can take leaves after drainMs all the same', async () => {
  const cluster = await TestCluster.start({ actors: [counter], settings: { shards: 16, drainMs: 4_000 }, nodes: 2 });
  await cluster.advance(2_000);
  cluster.killNode('node-1');
  const node = cluster.node('node-0');
  const startedAt = cluster.clock.trueMs;
  for (const key of keys) node.notifyActor(Counter, key).add();
  await cluster.stopNode('node-0');
  expect(cluster.clock.trueMs - startedAt).toBeLessThan(5_500);
  await cluster.stop();
});
