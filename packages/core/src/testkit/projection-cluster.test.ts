import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineActor } from '../actor/definition.ts';
import { defineProjection, type Projection } from '../events/projection.ts';
import { memoryStore } from '../memory/memory-store.ts';
import { TestCluster } from './test-cluster.ts';

const Account = defineActor('account', { deposit: { input: z.object({ amount: z.int() }), output: z.int() } });

const account = Account.aggregate({
  initial: () => ({ balance: 0 }),
  events: { Deposited: { version: 2, schema: z.object({ cents: z.int() }) } },
  upcasters: { Deposited: { 1: (data) => ({ cents: (data as { readonly amount: number }).amount * 100 }) } },
  evolve: { Deposited: (state, { cents }) => ({ balance: state.balance + cents }) },
  commands: {
    deposit(ctx, { amount }) {
      ctx.raise('Deposited', { cents: amount * 100 });
      return ctx.state.balance;
    },
  },
});

const settings = { shards: 8 };

/** A projection that adds up what was deposited, with what it needs beside the cluster. */
function totals(): { readonly projection: Projection; readonly seen: number[]; readonly total: () => number } {
  const seen: number[] = [];
  let total = 0;
  const projection = defineProjection({
    name: 'totals',
    types: ['account'],
    handle: ({ position, data }) => {
      seen.push(position);
      // At least once: what came before is passed over.
      if (seen.indexOf(position) === seen.length - 1) total += (data as { readonly cents: number }).cents;
    },
  });
  return { projection, seen, total: () => total };
}

const runningOn = (cluster: TestCluster, nodes: readonly string[]): readonly string[] =>
  nodes.filter((nodeId) =>
    cluster
      .node(nodeId)
      .projections?.status()
      .some(({ state }) => state === 'live'),
  );

test('one node runs a projection, and when it goes another one goes on behind what was handled', async () => {
  const { projection, seen, total } = totals();
  const cluster = await TestCluster.start({ actors: [account], projections: [projection], store: memoryStore(), settings, nodes: 3 });
  const nodes = ['node-0', 'node-1', 'node-2'];
  const deposit = (key: string): Promise<number> => cluster.run(cluster.client.actor(Account, key).deposit({ amount: 1 }));
  for (let i = 0; i < 10; i += 1) await deposit(`key-${i}`);
  await cluster.advance(1_000);
  expect(total()).toBe(1_000);
  const [owner = ''] = runningOn(cluster, nodes);
  expect(runningOn(cluster, nodes)).toEqual([owner]);

  await cluster.stopNode(owner);
  const others = nodes.filter((nodeId) => nodeId !== owner);
  for (let i = 0; i < 10; i += 1) await deposit(`key-${i}`);
  await cluster.advance(2_000);
  expect(total()).toBe(2_000);
  // A planned move handles nothing twice.
  expect(new Set(seen).size).toBe(seen.length);

  const [second = ''] = runningOn(cluster, others);
  cluster.killNode(second);
  await cluster.settled();
  for (let i = 0; i < 10; i += 1) await deposit(`key-${i}`);
  await cluster.advance(2_000);
  expect(total()).toBe(3_000);
  await cluster.stop();
});

test('events that were stored in an older version come in the present one', async () => {
  const { projection, total } = totals();
  const store = memoryStore();
  const old = defineActor('account', { deposit: { input: z.object({ amount: z.int() }) } }).aggregate({
    initial: () => ({}),
    events: { Deposited: z.object({ amount: z.int() }) },
    evolve: { Deposited: (state) => state },
    commands: { deposit: (ctx, input) => ctx.raise('Deposited', input) },
  });
  const before = await TestCluster.start({ actors: [old], store, settings, nodes: 1 });
  await before.run(before.client.actor(Account, 'a').deposit({ amount: 3 }));
  await before.stop();
  const after = await TestCluster.start({
    actors: [account],
    projections: [projection],
    store,
    settings,
    nodes: 1,
    clock: before.clock.fork(),
  });
  await after.advance(1_000);
  expect(total()).toBe(300);
  await after.stop();
});

test('with a private store each node projects what its own store holds', async () => {
  const inner = memoryStore();
  const store = {
    ...inner,
    open: async (environment: Parameters<typeof inner.open>[0]) => ({ ...(await inner.open(environment)), privateId: environment.nodeId }),
  };
  const { projection, total } = totals();
  const cluster = await TestCluster.start({ actors: [account], projections: [projection], store, settings, nodes: 1 });
  await cluster.run(cluster.client.actor(Account, 'a').deposit({ amount: 1 }));
  await cluster.advance(1_000);
  expect(total()).toBe(100);
  await cluster.stop();
});

test('a projection without a store, or twice, is refused at the start', async () => {
  const { projection } = totals();
  await expect(TestCluster.start({ actors: [], projections: [projection], nodes: 1 })).rejects.toMatchObject({ code: 'store.missing' });
  const twice = { actors: [account], projections: [projection, projection], store: memoryStore(), nodes: 1 };
  await expect(TestCluster.start(twice)).rejects.toMatchObject({ code: 'options.invalid' });
});

test('a rebuild is asked for on any node, and dead letters are listed there', async () => {
  const { projection, total } = totals();
  const cluster = await TestCluster.start({ actors: [account], projections: [projection], store: memoryStore(), settings, nodes: 2 });
  await cluster.run(cluster.client.actor(Account, 'a').deposit({ amount: 1 }));
  await cluster.advance(1_000);
  const hosted = cluster.node('node-0').projections!;
  expect((await cluster.run(hosted.generations('totals'))).live).toMatchObject({ number: 1 });
  await cluster.run(hosted.rebuild('totals'));
  await cluster.advance(5_000);
  expect((await cluster.run(hosted.generations('totals'))).live).toMatchObject({ number: 2 });
  expect(await cluster.run(hosted.deadLetters('totals'))).toEqual([]);
  await expect(hosted.rebuild('other')).rejects.toThrow('no projection "other"');
  expect(total()).toBe(100);
  await cluster.stop();
});

test('a node whose projection waits for ever stops all the same', async () => {
  const projection = defineProjection({ name: 'stuck', types: ['account'], handle: () => new Promise<void>(() => {}) });
  const cluster = await TestCluster.start({
    ...{ actors: [account], projections: [projection], store: memoryStore(), nodes: 1 },
    settings: { ...settings, drainMs: 1_000 },
  });
  await cluster.run(cluster.client.actor(Account, 'a').deposit({ amount: 1 }));
  await cluster.advance(100);
  const since = cluster.clock.now();
  await cluster.stopNode('node-0');
  expect(cluster.clock.now() - since).toBeLessThan(10_000);
  await cluster.stop();
});

test('a projection goes on where the records of the cluster were lost and the wall clock is behind', async () => {
  const { projection, total } = totals();
  const store = memoryStore();
  const parts = { actors: [account], projections: [projection], store, settings, nodes: 2 };
  const cluster = await TestCluster.start(parts);
  await cluster.run(cluster.client.actor(Account, 'key').deposit({ amount: 1 }));
  await cluster.advance(2_000);
  expect(total()).toBe(100);
  await cluster.stop();
  const clock = cluster.clock.fork({ wallMs: cluster.clock.wall() - 3_600_000 });
  const again = await TestCluster.start({ ...parts, clock });
  await again.run(again.client.actor(Account, 'key').deposit({ amount: 1 }));
  await again.advance(5_000);
  expect(total()).toBe(200);
  await again.stop();
});
