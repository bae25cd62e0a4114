import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineActor } from '../actor/definition.ts';
import { PerkeyError } from '../base/errors.ts';
import { seededRandom } from '../base/random.ts';
import { silentLogger } from '../base/log.ts';
import { noMetrics } from '../base/metrics.ts';
import { EventStore } from '../events/event-store.ts';
import { memoryStore } from '../memory/memory-store.ts';
import { FaultyStore } from './faulty-store.ts';
import { TestCluster } from './test-cluster.ts';
import { VirtualClock } from './virtual-clock.ts';

const Account = defineActor('account', {
  deposit: { input: z.object({ amount: z.bigint() }), output: z.bigint() },
  balance: { output: z.bigint(), readonly: true },
});

const account = Account.aggregate({
  initial: () => ({ balance: 0n }),
  events: { Deposited: z.object({ amount: z.bigint() }) },
  evolve: { Deposited: (state, { amount }) => ({ balance: state.balance + amount }) },
  commands: {
    deposit(ctx, input) {
      ctx.raise('Deposited', input);
      return ctx.state.balance;
    },
  },
  queries: { balance: (ctx) => ctx.state.balance },
  snapshotEvery: 10,
});

const Tally = defineActor('tally', { add: { output: z.number() }, get: { output: z.number(), readonly: true } });

const tally = Tally.host({
  state: () => ({ value: 0 }),
  persist: 'state',
  add: (ctx) => (ctx.state.value += 1),
  get: (ctx) => ctx.state.value,
});

const Volatile = defineActor('volatile', { add: { output: z.number() } });

const inMemory = Volatile.host({ state: () => ({ value: 0 }), add: (ctx) => (ctx.state.value += 1) });

const actors = [account, tally, inMemory];
const settings = { shards: 8 };

test('what was acknowledged outlives the nodes: planned moves, a kill, and a restart of all', async () => {
  const store = memoryStore();
  const cluster = await TestCluster.start({ actors, store, settings, nodes: 3 });
  const { client } = cluster;
  const keys = Array.from({ length: 20 }, (_, index) => `key-${index}`);
  const addAll = (): Promise<unknown> =>
    cluster.run(
      Promise.all(
        keys.flatMap((key) => [client.actor(Account, key).deposit({ amount: 2n }), client.actor(Tally, key).add()] as Promise<unknown>[]),
      ),
    );
  await addAll();
  const shown = ['node-0', 'node-1', 'node-2'].flatMap((nodeId) => cluster.node(nodeId).inspectActor(Account, 'key-0') ?? []);
  expect(shown).toMatchObject([{ type: 'account', key: 'key-0', status: 'idle', durable: { version: 1, outboxPending: 0 } }]);
  expect(cluster.node('node-0').inspectActor(Volatile, 'key-0')).toBeUndefined();
  await cluster.stopNode('node-0');
  await addAll();
  cluster.killNode('node-1');
  await addAll();
  await cluster.addNode();
  await cluster.advance(2_000);
  await addAll();
  await cluster.stop();

  const again = await TestCluster.start({ actors, store, settings, nodes: 2, clock: cluster.clock.fork() });
  const balances = await again.run(Promise.all(keys.map((key) => again.client.actor(Account, key).balance())));
  expect(new Set(balances)).toEqual(new Set([8n]));
  const tallies = await again.run(Promise.all(keys.map((key) => again.client.actor(Tally, key).get())));
  expect(new Set(tallies)).toEqual(new Set([4]));
  await again.stop();
});

test('a durable actor without a store is refused at start, with what to do', async () => {
  for (const actor of [account, tally]) {
    const refused = await TestCluster.start({ actors: [actor], settings }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(PerkeyError);
    expect((refused as PerkeyError).code).toBe('store.missing');
    expect((refused as PerkeyError).message).toContain(actor.contract.type);
  }
});

test('a store that is gone when a node starts is told at once, and one that comes back later serves', async () => {
  const clock = new VirtualClock();
  const store = new FaultyStore(memoryStore(), { clock });
  store.of('node-0').unavailable();
  const refused = await TestCluster.start({ actors, store, settings, nodes: 1, clock }).catch((error: unknown) => error);
  expect((refused as PerkeyError).code).toBe('store.unavailable');
  store.healAll();
  const cluster = await TestCluster.start({ actors, store, settings, nodes: 1, clock: clock.fork() });
  const alice = cluster.client.actor(Account, 'alice');
  await cluster.run(alice.deposit({ amount: 1n }));
  store.of('node-0').unavailable();
  const gone = await cluster.run(alice.deposit({ amount: 1n }).catch((error: unknown) => error));
  expect([(gone as PerkeyError).code, (gone as PerkeyError).executed]).toEqual(['store.unavailable', 'no']);
  store.healAll();
  expect(await cluster.run(alice.deposit({ amount: 1n }))).toBe(2n);
  await cluster.stop();
});

test('ten writers in two clusters that share a store, fifty rounds on one stream: versions without gap or double', async () => {
  const store = memoryStore();
  const one = await TestCluster.start({ actors, store, settings, nodes: 1 });
  await one.advance(500);
  const other = await TestCluster.start({ actors, store, settings, nodes: 1, clock: one.clock.fork(), seed: 2 });
  expect(await one.run(one.client.actor(Volatile, 'alice').add())).toBe(1);
  let acknowledged = 0;
  for (let round = 0; round < 50; round += 1) {
    const deposits = Array.from({ length: 10 }, (_, writer) =>
      (writer % 2 === 0 ? one : other).client
        .actor(Account, 'alice')
        .deposit({ amount: 1n }, { idempotencyKey: `${round}.${writer}` })
        .then(
          () => (acknowledged += 1),
          (error: unknown) => error,
        ),
    );
    await one.run(Promise.all(deposits));
  }
  const environment = { cluster: 'test', nodeId: 'reader', shards: 8, connectTimeoutMs: 1_000, log: silentLogger, metrics: noMetrics };
  const opened = await one.run(store.open({ ...environment, clock: one.clock, random: seededRandom(3) }));
  const events = new EventStore({ log: opened.events, clock: one.clock, random: seededRandom(4), metrics: noMetrics, shards: 8 });
  const report = await one.run(events.verify({ type: 'account', key: 'alice' }));
  expect(report.problems).toEqual([]);
  expect(acknowledged).toBe(500);
  expect(report.events).toBe(500);
  // Each side was fenced many times and claimed its shard anew; what lives in its memory came along.
  expect(report.epochs.length).toBeGreaterThan(10);
  expect(await one.run(one.client.actor(Volatile, 'alice').add())).toBe(2);
  await one.stop();
  await other.stop();
});
