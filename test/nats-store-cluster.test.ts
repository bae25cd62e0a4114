import type { AppendOutcome, CommitLog, OpenStore } from '@perkey/core';
import { storeEnvironment, storeSuite, type SuiteTest } from '@perkey/core/testing';
import { jetstream } from '@perkey/nats';
import { connect } from '@nats-io/transport-node';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bytesOf } from './nats-fixture.ts';
import { startNatsCluster, type NatsCluster } from './support/nats-cluster.ts';

const stream = (key: string): { type: string; key: string } => ({ type: 'Account', key });

function append(log: CommitLog, key: string, expectedSequence: number, body: string): Promise<AppendOutcome> {
  return log.append({ stream: stream(key), shard: 0, expectedSequence, epoch: 1, body: bytesOf(body) });
}

async function read(log: CommitLog, key: string): Promise<readonly { readonly sequence: number; readonly text: string }[]> {
  const found = [];
  for await (const { records } of log.read({ after: 0, batchMax: 100, stream: stream(key) }))
    found.push(...records.map(({ sequence, body }) => ({ sequence, text: Buffer.from(body).toString() })));
  return found;
}

describe('three servers, three copies', () => {
  let cluster: NatsCluster;
  let store: OpenStore;
  beforeAll(async () => {
    cluster = await startNatsCluster();
    store = await jetstream({ servers: cluster.urls, replicas: 3, storeTimeoutMs: 2_000 }).open(
      storeEnvironment({ cluster: 'r3', connectTimeoutMs: 30_000 }),
    );
  });
  afterAll(async () => {
    await store.close();
    await cluster.stop();
  });

  test('each acknowledged append is in the next read, from whatever server the consumer is on', async () => {
    let head = 0;
    for (let i = 1; i <= 40; i += 1) {
      const outcome = await append(store.events, 'seen', head, `${i}`);
      if (outcome.kind !== 'appended') throw new Error(JSON.stringify(outcome));
      head = outcome.sequence;
      const found = await read(store.events, 'seen');
      expect([found.length, found.at(-1)?.sequence]).toEqual([i, head]);
      let last = 0;
      if (i % 8 === 0)
        for await (const { records } of store.events.read({ after: 0, batchMax: 100 })) last = records.at(-1)?.sequence ?? last;
      if (i % 8 === 0) expect(last).toBe(head);
    }
  });

  let suites = 0;
  const ofBarriers: SuiteTest = Object.assign((name: string, run: () => Promise<void>) => /barrier/.test(name) && test(name, run, 60_000), {
    skip: () => undefined,
  });
  storeSuite({
    test: ofBarriers,
    name: 'jetstream with three copies',
    open: () => {
      suites += 1;
      const shared = jetstream({ servers: cluster.urls, replicas: 3 });
      return Promise.resolve({ store: shared, another: shared, cluster: `barriers${suites}`, close: () => Promise.resolve() });
    },
  });

  test('barriers leave one message of each node, whose id may be one that was used before', async () => {
    const other = (): Promise<OpenStore> =>
      jetstream({ servers: cluster.urls, replicas: 3 }).open(storeEnvironment({ cluster: 'r3', nodeId: 'other' }));
    const former = await other();
    await Promise.all(Array.from({ length: 5 }, () => former.events.barrier()));
    const first = await former.events.barrier();
    await former.close();
    const next = await other();
    expect(await next.events.barrier()).toBeGreaterThan(first);
    await store.events.barrier();
    const raw = await connect({ servers: cluster.urls });
    const left = async (): Promise<unknown> => {
      const answer = await raw.request(
        '$JS.API.STREAM.INFO.perkey_r3_events',
        JSON.stringify({ subjects_filter: 'perkey.r3.events.=barrier.>' }),
      );
      return Object.values(answer.json<{ state: { subjects?: Record<string, number> } }>().state.subjects ?? {});
    };
    await expect.poll(left, { timeout: 10_000 }).toEqual([1, 1]);
    await raw.close();
    await next.close();
  });

  test('the leader of the log is killed: nothing acknowledged is lost, nothing refused is there, and a reader goes on', async () => {
    const given: number[] = [];
    const until = new AbortController();
    const following = (async (): Promise<void> => {
      for await (const { records } of store.events.read({ after: 0, batchMax: 50, follow: true, signal: until.signal }))
        given.push(...records.map(({ sequence }) => sequence));
    })();
    const acknowledged = new Map<string, number>();
    const refused: string[] = [];
    const kinds = new Set<string>();
    const stop = new AbortController();
    // A stream for each append, so that each outcome stands for itself.
    const writing = (async (): Promise<void> => {
      for (let i = 0; !stop.signal.aborted; i += 1) {
        const outcome = await append(store.events, `once-${i}`, 0, 'x');
        kinds.add(outcome.kind);
        if (outcome.kind === 'appended') acknowledged.set(`once-${i}`, outcome.sequence);
        if (outcome.kind === 'refused') refused.push(`once-${i}`);
        if (outcome.kind !== 'appended') await delay(20);
      }
    })();
    await delay(500);
    const leader = await cluster.leaderOf('perkey_r3_events');
    await leader.kill();
    const before = acknowledged.size;
    await expect.poll(() => acknowledged.size, { timeout: 25_000 }).toBeGreaterThan(before + 50);
    await leader.restart();
    await delay(500);
    stop.abort();
    await writing;
    expect(kinds.size).toBeGreaterThan(1);
    for (const [key, sequence] of [...acknowledged].slice(-300)) expect((await read(store.events, key))[0]?.sequence, key).toBe(sequence);
    for (const key of refused.slice(0, 300)) expect(await read(store.events, key), key).toEqual([]);
    const all: number[] = [];
    for await (const { records } of store.events.read({ after: 0, batchMax: 100 })) all.push(...records.map(({ sequence }) => sequence));
    for (const sequence of acknowledged.values()) expect(all).toContain(sequence);
    await expect.poll(() => given.length, { timeout: 15_000 }).toBe(all.length);
    expect(given).toEqual(all);
    until.abort();
    await following;
  }, 60_000);
});
