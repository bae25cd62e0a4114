import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineActor } from '../actor/definition.ts';
import { TestCluster } from './test-cluster.ts';

const Counter = defineActor('counter', {
  add: { input: z.object({ amount: z.int().default(1) }), output: z.int() },
  get: { output: z.int(), readonly: true },
});

const counter = Counter.host({
  state: () => ({ value: 0 }),
  add: (ctx, { amount }) => (ctx.state.value += amount),
  get: (ctx) => ctx.state.value,
});

const settings = { shards: 16 };
const keys = Array.from({ length: 40 }, (_, i) => `key-${i}`);

async function addToAll(cluster: TestCluster): Promise<number[]> {
  return cluster.run(Promise.all(keys.map((key) => cluster.client.actor(Counter, key).add())));
}

test('state moves with nodes that come and go, and no call fails', async () => {
  const cluster = await TestCluster.start({ actors: [counter], nodes: 2, settings });
  expect(await addToAll(cluster)).toEqual(keys.map(() => 1));
  await cluster.addNode();
  expect(await addToAll(cluster)).toEqual(keys.map(() => 2));
  await cluster.stopNode('node-0');
  await cluster.stopNode('node-1');
  await cluster.settled();
  expect(await addToAll(cluster)).toEqual(keys.map(() => 3));
  expect(cluster.node('node-2').inspect()?.actors.resident).toBe(keys.length);
  await cluster.stop();
});

test('actors of a node that died start anew on others when its lease is over; the others keep theirs', async () => {
  const cluster = await TestCluster.start({ actors: [counter], nodes: 3, settings });
  await addToAll(cluster);
  const lost = cluster.node('node-1').inspect()!.actors.resident;
  const before = cluster.clock.trueMs;
  cluster.killNode('node-1');
  const values = await addToAll(cluster);
  expect(values.filter((value) => value === 1)).toHaveLength(lost);
  expect(values.filter((value) => value === 2)).toHaveLength(keys.length - lost);
  expect(cluster.clock.trueMs - before).toBeLessThan(3_000);
  await cluster.stop();
});

test('a frozen node is evicted, answers nothing when it wakes up, and comes back as another incarnation', async () => {
  const cluster = await TestCluster.start({ actors: [counter], nodes: 2, settings });
  await addToAll(cluster);
  const { incarnation } = cluster.node('node-0');
  const { resident } = cluster.node('node-0').inspect()!.actors;
  cluster.freezeNode('node-0');
  await cluster.advance(4_000);
  expect((await addToAll(cluster)).filter((value) => value === 1)).toHaveLength(resident);
  cluster.thawNode('node-0');
  await cluster.clock.until(() => cluster.node('node-0').incarnation !== incarnation && cluster.node('node-0').state === 'active');
  await cluster.settled();
  const values = await cluster.run(Promise.all(keys.map((key) => cluster.client.actor(Counter, key).get())));
  expect(values.filter((value) => value === 1)).toHaveLength(resident);
  await cluster.stop();
});

test('the same seed gives the same run', async () => {
  const runOnce = async (): Promise<unknown> => {
    const cluster = await TestCluster.start({ actors: [counter], nodes: 3, settings, seed: 7 });
    await addToAll(cluster);
    await cluster.stopNode('node-2');
    const { incarnation } = cluster.node('node-0');
    const seen = [incarnation, cluster.clock.trueMs, cluster.transport.history.of('shards', 'shard.3')];
    await cluster.stop();
    return seen;
  };
  expect(await runOnce()).toEqual(await runOnce());
});

test('a node that leaves before it has heard of the one that just came still hands its actors over', async () => {
  const cluster = await TestCluster.start({ actors: [counter], nodes: 1, settings });
  await addToAll(cluster);
  cluster.faults('node-0').members.delayWatches(300);
  await cluster.addNode();
  await cluster.stopNode('node-0');
  expect(await addToAll(cluster)).toEqual(keys.map(() => 2));
  await cluster.stop();
});
