import { type CommitLog, defineActor, type Node, type OpenStore, type PerkeyError, startNode } from '@perkey/core';
import { storeEnvironment } from '@perkey/core/testing';
import { jetstream, nats } from '@perkey/nats';
import type { NatsServer } from '@perkey/nats/dev';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { bytesOf } from './nats-fixture.ts';
import { testServers } from './support/newest-server.ts';
import { SplitCluster } from './support/split-cluster.ts';

const stream = { type: 'Account', key: 'alice' };

async function recordsOf(log: CommitLog, reached?: () => Promise<number>): Promise<number> {
  let count = 0;
  for await (const { records } of log.read({ after: 0, batchMax: 100, stream, reached })) count += records.length;
  return count;
}

/** Appends until the majority has a leader that takes it. */
async function appendFirst(log: CommitLog): Promise<void> {
  const giveUpAt = performance.now() + 25_000;
  for (;;) {
    const outcome = await log.append({ stream, shard: 0, expectedSequence: 0, epoch: 1, body: bytesOf('first') });
    if (outcome.kind === 'appended') return;
    if (outcome.kind === 'conflict' && (await recordsOf(log)) === 1) return;
    if (performance.now() > giveUpAt) throw new Error(`the append was ${JSON.stringify(outcome)}`);
    await delay(50);
  }
}

function openAt(servers: readonly NatsServer[], nodeId: string): Promise<OpenStore> {
  const store = jetstream({ servers: servers.map(({ url }) => url), replicas: 3, storeTimeoutMs: 1_000 });
  return store.open(storeEnvironment({ cluster: 'split', nodeId, connectTimeoutMs: 30_000 }));
}

const Wallet = defineActor('wallet', {
  earn: { input: z.object({ cents: z.int() }), output: z.int() },
  cents: { output: z.int(), readonly: true },
  owner: { output: z.string(), readonly: true },
});
const wallet = Wallet.aggregate({
  initial: () => ({ cents: 0 }),
  events: { Earned: z.object({ cents: z.int() }) },
  evolve: { Earned: (state, earned) => ({ cents: state.cents + earned.cents }) },
  commands: {
    earn(ctx, earned) {
      ctx.raise('Earned', earned);
      return ctx.state.cents;
    },
  },
  queries: { cents: (ctx) => ctx.state.cents, owner: (ctx) => ctx.nodeId },
});

describe.each(await testServers())('$name', ({ binary }) => {
  /** False where the server had noticed that it leads no more before it was asked, which shows nothing. */
  async function asksDeposedLeader(): Promise<boolean> {
    await using split = await SplitCluster.start(binary);
    const { cluster } = split;
    const first = await openAt(cluster.servers, 'first');
    await first.close();
    const leader = await cluster.leaderOf('perkey_split_events');
    const others = cluster.servers.filter((server) => server !== leader);
    const apart = await openAt([leader], 'apart');
    const within = await openAt(others, 'within');
    split.cutOff(leader);
    await appendFirst(within.events);
    // What it says without a demand shows that it is asked at all, and believes that it leads.
    const said = await recordsOf(apart.events).catch((error: unknown) => (error as PerkeyError).code);
    expect([0, 'store.unavailable']).toContain(said);
    const barrier = await within.events.barrier();
    const begun = performance.now();
    await expect(recordsOf(apart.events, () => Promise.resolve(barrier))).rejects.toMatchObject({ code: 'store.unavailable' });
    await expect(apart.events.barrier()).rejects.toMatchObject({ code: 'store.unavailable' });
    expect(performance.now() - begun).toBeLessThan(10_000);
    split.heal();
    await expect.poll(() => recordsOf(apart.events, () => apart.events.barrier()).catch(String), { timeout: 30_000 }).toBe(1);
    await Promise.all([apart.close(), within.close()]);
    return said === 0;
  }

  test('a leader that was cut off and deposed says that a stream is empty, and is not believed where a barrier was set since', async () => {
    let asked = 0;
    for (let isShown = false; !isShown; asked += 1) {
      expect(asked).toBeLessThan(5);
      isShown = await asksDeposedLeader();
    }
  }, 240_000);

  test('a node takes over an actor while its own way to the store ends at a deposed leader: it refuses, and never shows it as new', async () => {
    await using split = await SplitCluster.start(binary);
    const { cluster } = split;
    const urls = (servers: readonly NatsServer[]): string[] => servers.map(({ url }) => url);
    const start = (nodeId: string, transport: readonly NatsServer[], store: readonly NatsServer[]): Promise<Node> =>
      startNode({
        ...{ cluster: 'split', nodeId, shards: 8, leaseMs: 20_000, actors: [wallet] },
        transport: nats({ servers: urls(transport), replicas: 3 }),
        store: jetstream({ servers: urls(store), replicas: 3, storeTimeoutMs: 1_000 }),
      });
    const made = await openAt(cluster.servers, 'made');
    await made.close();
    const leader = await cluster.leaderOf('perkey_split_events');
    const others = cluster.servers.filter((server) => server !== leader);
    await using former = await start('former', others, others);
    await using next = await start('next', others, [leader]);
    const all = Array.from({ length: 24 }, (_, i) => `w${i}`);
    const ownersOf = (): Promise<string[]> => Promise.all(all.map((key) => former.actor(Wallet, key).owner()));
    let owners: string[] = [];
    await expect
      .poll(
        async () => {
          const before = owners;
          owners = await ownersOf();
          return owners.includes('next') && owners.join() === before.join();
        },
        { timeout: 20_000, interval: 1_000 },
      )
      .toBe(true);
    const paid = all.filter((_, i) => owners[i] === 'former');
    expect(paid.length).toBeGreaterThan(0);
    split.cutOff(leader);
    await Promise.all(
      paid.map((key) =>
        expect
          .poll(() => former.actor(Wallet, key).earn({ cents: 5 }, { timeoutMs: 1_000, idempotencyKey: key }).catch(String), {
            timeout: 30_000,
            interval: 20,
          })
          .toBe(5),
      ),
    );
    await former.stop();
    const told = await Promise.all(
      paid.map((key) =>
        next
          .actor(Wallet, key)
          .cents({ timeoutMs: 4_000 })
          .catch((error: unknown) => (error as PerkeyError).executed),
      ),
    );
    for (const answer of told) expect(['no', 5]).toContain(answer);
    split.heal();
    for (const key of paid)
      await expect.poll(() => next.actor(Wallet, key).cents({ timeoutMs: 2_000 }).catch(String), { timeout: 30_000 }).toBe(5);
  }, 180_000);
});
