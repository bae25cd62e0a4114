import { connect } from '@nats-io/transport-node';
import { Kvm } from '@nats-io/kv';
import { jetstreamManager } from '@nats-io/jetstream';
import type { RecordListener, StoredRecord } from '@perkey/core';
import { recordStoreSuite } from '@perkey/core/testing';
import { nats } from '@perkey/nats';
import { startNatsServer, type NatsServer } from '@perkey/nats/dev';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { environmentOf, Links, LogKeeper } from './nats-fixture.ts';
import { startNatsCluster } from './support/nats-cluster.ts';
import { testServers } from './support/newest-server.ts';

/** Keeps the last value of each key, and counts what it was told. */
class Mirror implements RecordListener {
  readonly values = new Map<string, StoredRecord>();
  synced = 0;
  records = 0;
  fell = 0;

  onRecord(record: StoredRecord): void {
    this.records += 1;
    if (record.revision < (this.values.get(record.key)?.revision ?? 0)) this.fell += 1;
    this.values.set(record.key, record);
  }

  onSynced(): void {
    this.synced += 1;
  }
}

describe.each(await testServers())('$name', ({ binary }) => {
  let server: NatsServer;
  let count = 0;
  beforeAll(async () => {
    server = await startNatsServer({ binary });
  });
  afterAll(() => server.stop());

  recordStoreSuite({
    test,
    name: 'store',
    open: async () => {
      count += 1;
      const around = environmentOf({ cluster: `store${count}` });
      let up = (): void => {};
      const transport = nats({ servers: server.url });
      const link = await transport.openControl('n1', { onState: (isUp) => void (isUp && up()) }, around);
      const others: { close(): Promise<void> }[] = [];
      return {
        store: link.shards,
        async another() {
          const other = await transport.openControl('n2', { onState: () => {} }, around);
          others.push(other);
          return other.shards;
        },
        async reconnect() {
          const again = new Promise<void>((resolve) => {
            up = resolve;
          });
          link.reset();
          await again;
        },
        async close() {
          await Promise.all([link, ...others].map((one) => one.close()));
        },
      };
    },
  });

  test('a server killed and started again: a watch misses no last update, and writes say what they know', async () => {
    await using links = new Links();
    const around = environmentOf({ cluster: 'restart' });
    const [writer, reader] = [
      await links.control({ servers: server.url }, around),
      await links.control({ servers: server.url }, around, 'n2'),
    ];
    const mirror = new Mirror();
    await reader.link.members.watch(mirror);
    const latest = new Map<string, number>();
    let failures = 0;
    const until = new AbortController();
    const writing = (async (): Promise<void> => {
      for (let i = 0; !until.signal.aborted; i += 1) {
        const key = `k${i % 7}`;
        try {
          const outcome = await writer.link.members.write(key, `${i}`, latest.get(key) ?? 0);
          const known = outcome.applied ? outcome.revision : (await writer.link.members.read(key))?.revision;
          latest.set(key, known ?? 0);
        } catch (error) {
          expect(error).toMatchObject({ code: 'store.unavailable', executed: 'unknown' });
          failures += 1;
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      }
    })();
    for (let round = 1; round <= 2; round += 1) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      await server.kill();
      await server.restart();
      await reader.told.until('the return', () => reader.told.states.length === 1 + 2 * round);
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
    until.abort();
    await writing;
    expect(failures).toBeGreaterThan(0);
    for (const key of latest.keys()) {
      const stored = await writer.link.members.read(key);
      await expect.poll(() => mirror.values.get(key)).toEqual(stored);
    }
    expect(mirror.fell).toBe(0);
    await expect.poll(() => mirror.synced).toBeGreaterThanOrEqual(3);
  });

  test('a frozen server: reads and writes end as unavailable in time, and the watch goes on after it', async () => {
    await using links = new Links();
    const around = environmentOf({ cluster: 'frozen' });
    const options = { servers: server.url, storeTimeoutMs: 300, pingIntervalMs: 60_000 };
    const { link } = await links.control(options, around);
    const mirror = new Mirror();
    await link.shards.watch(mirror);
    await server.freeze();
    const since = performance.now();
    await Promise.all([
      expect(link.shards.write('a', 'one', 0)).rejects.toMatchObject({ code: 'store.unavailable' }),
      expect(link.shards.read('a')).rejects.toMatchObject({ code: 'store.unavailable' }),
      expect(link.shards.forget('b', 1)).rejects.toMatchObject({ code: 'store.unavailable' }),
    ]);
    expect(performance.now() - since).toBeLessThan(1_500);
    server.thaw();
    // The write without an answer was in the buffers of the server, and is applied now: that is what "unknown" means.
    await expect.poll(() => mirror.values.get('a')?.value, { timeout: 5_000 }).toBe('one');
  });

  test('a purge by an operator, which makes server 2.9 pass over records of other keys: the watch notices', async () => {
    await using links = new Links();
    const { link } = await links.control(
      { servers: server.url, pingIntervalMs: 60_000, storeTimeoutMs: 300 },
      environmentOf({ cluster: 'purged' }),
    );
    const mirror = new Mirror();
    await link.shards.watch(mirror);
    for (const key of ['k1', 'k2', 'k3']) await link.shards.write(key, 'x', 0);
    await expect.poll(() => mirror.values.size).toBe(3);
    const operator = await connect({ servers: server.url, reconnect: false, pingInterval: 60_000 });
    await server.freeze();
    const writes = ['a', 'b'].map((key) => link.shards.write(key, 'after', 0).catch(() => undefined));
    operator.publish('$JS.API.STREAM.PURGE.KV_perkey_purged_shards', JSON.stringify({ filter: '$KV.perkey_purged_shards.other', seq: 2 }));
    await Promise.all(writes);
    server.thaw();
    await expect.poll(() => [mirror.values.get('a')?.value, mirror.values.get('b')?.value], { timeout: 5_000 }).toEqual(['after', 'after']);
    await operator.close();
  });

  test('several that forget one key at once agree', async () => {
    await using links = new Links();
    const { link } = await links.control({ servers: server.url, historyMax: 5 }, environmentOf({ cluster: 'forget' }));
    let revision = 0;
    for (let i = 0; i < 9; i += 1) {
      const outcome = await link.shards.write('a', `${i}`, revision);
      revision = outcome.applied ? outcome.revision : -1;
    }
    const forget = (upTo: number): Promise<unknown> => Promise.all(Array.from({ length: 4 }, () => link.shards.forget('a', upTo)));
    await forget(revision - 1);
    expect(await link.shards.read('a')).toMatchObject({ value: '8', revision });
    await forget(Number.MAX_SAFE_INTEGER);
    expect(await link.shards.read('a')).toBeUndefined();
    expect(await link.shards.write('a', 'new', 0)).toMatchObject({ applied: true });
  });

  test('a mark left by a deletion counts as missing', async () => {
    await using links = new Links();
    const { link } = await links.control({ servers: server.url }, environmentOf({ cluster: 'marks' }));
    const first = await link.members.write('a', 'one', 0);
    const operator = await connect({ servers: server.url, reconnect: false });
    const bucket = await new Kvm(operator).open('perkey_marks_members');
    await bucket.delete('a');
    const mirror = new Mirror();
    await link.members.watch(mirror);
    await expect.poll(() => mirror.synced).toBe(1);
    expect(mirror.records).toBe(0);
    expect(await link.members.read('a')).toBeUndefined();
    expect(await link.members.write('a', 'late', first.applied ? first.revision : -1)).toEqual({ applied: false });
    expect(await link.members.write('a', 'two', 0)).toMatchObject({ applied: true });
    expect(await link.members.write('a', 'three', 0)).toEqual({ applied: false });
    await expect.poll(() => mirror.values.get('a')?.value).toBe('two');
    await operator.close();
  });

  test('the buckets are made as they must be, and those that are there are left as they are', async () => {
    await using links = new Links();
    const operator = await connect({ servers: server.url, reconnect: false });
    await new Kvm(operator).create('perkey_made_shards', { history: 5, allow_direct: true });
    const log = new LogKeeper();
    await links.control({ servers: server.url, historyMax: 3 }, environmentOf({ cluster: 'made', log }));
    const manager = await jetstreamManager(operator);
    const members = (await manager.streams.info('KV_perkey_made_members')).config;
    expect(members).toMatchObject({ storage: 'file', num_replicas: 1, max_msgs_per_subject: 3, max_age: 0, allow_direct: false });
    expect((await manager.streams.info('KV_perkey_made_shards')).config).toMatchObject({ max_msgs_per_subject: 5 });
    await links.control({ servers: server.url, replicas: 3 }, environmentOf({ cluster: 'made', log }), 'n2');
    expect(log.with('another number of replicas').map(({ fields }) => fields)).toEqual([
      { bucket: 'perkey_made_members', wanted: 3, actual: 1 },
      { bucket: 'perkey_made_shards', wanted: 3, actual: 1 },
    ]);
    await operator.close();
  });

  test('many nodes that start at once make the buckets once', async () => {
    await using links = new Links();
    const around = environmentOf({ cluster: 'crowd' });
    const opened = await Promise.all(Array.from({ length: 12 }, (_, i) => links.control({ servers: server.url }, around, `n${i}`)));
    const outcomes = await Promise.all(opened.map(({ link }, i) => link.members.write('one', `${i}`, 0)));
    expect(outcomes.filter(({ applied }) => applied)).toHaveLength(1);
  });

  test('a bucket that an operator removed is made again', async () => {
    await using links = new Links();
    const { link } = await links.control({ servers: server.url }, environmentOf({ cluster: 'removed' }));
    const mirror = new Mirror();
    await link.members.watch(mirror);
    for (let i = 0; i < 5; i += 1) await link.members.write(`k${i}`, 'before', 0);
    const operator = await connect({ servers: server.url, reconnect: false });
    await (await jetstreamManager(operator)).streams.delete('KV_perkey_removed_members');
    await expect(link.members.read('k1')).rejects.toMatchObject({ code: 'store.unavailable' });
    await expect
      .poll(() => link.members.write('k1', 'after', 0).catch(() => undefined), { timeout: 5_000 })
      .toMatchObject({ applied: true, revision: 1 });
    await expect.poll(() => mirror.values.get('k1'), { timeout: 5_000 }).toMatchObject({ value: 'after', revision: 1 });
    await operator.close();
  });

  test('a server that lost its data: the buckets are made again after the reconnect', async () => {
    await using links = new Links();
    const around = environmentOf({ cluster: 'lost' });
    const dir = await mkdtemp(join(tmpdir(), 'perkey-store-'));
    await using own = await startNatsServer({ binary, storeDir: dir });
    const { link, told } = await links.control({ servers: own.url }, around);
    const mirror = new Mirror();
    await link.shards.watch(mirror);
    await link.shards.write('a', 'before', 0);
    await own.kill();
    await rm(dir, { recursive: true });
    await own.restart();
    await told.until('the return', () => told.states.length === 3);
    await expect.poll(() => link.shards.write('a', 'after', 0).catch(() => undefined), { timeout: 5_000 }).toMatchObject({ applied: true });
    await expect.poll(() => mirror.values.get('a')?.value, { timeout: 5_000 }).toBe('after');
    await rm(dir, { recursive: true, force: true });
  });

  test('without JetStream a node cannot start, and is told the flag; a client can', async () => {
    await using plain = await startNatsServer({ binary, jetstream: false });
    await using links = new Links();
    const opening = links.control({ servers: plain.url }, environmentOf());
    await expect(opening).rejects.toMatchObject({ code: 'transport.no_jetstream' });
    await expect(opening).rejects.toThrow(/without JetStream; start it with the flag -js/);
    await links.client({ servers: plain.url }, environmentOf());
  });

  test('three copies on one server are refused at once, with what to do', async () => {
    await using links = new Links();
    const log = new LogKeeper();
    const opening = links.control({ servers: server.url, replicas: 3 }, environmentOf({ cluster: 'copies', log }));
    await expect(opening).rejects.toMatchObject({ code: 'transport.refused', executed: 'no' });
    await expect(opening).rejects.toThrow(
      /^NATS refused to create the bucket perkey_copies_members: .*; set replicas to 1, or join several servers/,
    );
    const reason = expect.stringContaining('could not be set up: NATS refused') as unknown;
    expect(log.with('redialling').map(({ fields }) => fields)).toEqual([expect.objectContaining({ reason })]);
  });

  test('an account without JetStream is told as that', async () => {
    const config = 'accounts { A { users: [{user: a, password: secret}] }, S { users: [{user: s, password: secret}] } }\nsystem_account: S';
    await using server2 = await startNatsServer({ binary, config });
    await using links = new Links();
    const opening = links.control({ servers: server2.url, user: 'a', pass: 'secret' }, environmentOf());
    await expect(opening).rejects.toMatchObject({ code: 'transport.no_jetstream' });
    await expect(opening).rejects.toThrow('for this account');
  });
});

test('a cluster of servers: JetStream without a leader is waited for, then told as unreachable, never as a wrong configuration', async () => {
  await using cluster = await startNatsCluster();
  await using links = new Links();
  const [one, two, three] = cluster.servers;
  const around = environmentOf({ cluster: 'quorum' });
  const { link, told } = await links.control({ servers: [one?.url ?? ''], replicas: 3 }, around);
  await link.members.write('a', 'one', 0);
  await Promise.all([two?.kill(), three?.kill()]);
  await expect
    .poll(() => link.members.write('b', 'x', 0).catch((error: unknown) => error), { timeout: 10_000 })
    .toMatchObject({ code: 'store.unavailable' });
  const hurried = links.control({ servers: one?.url, replicas: 3 }, environmentOf({ cluster: 'other', connectTimeoutMs: 1_500 }), 'n2');
  await expect(hurried).rejects.toMatchObject({ code: 'transport.connect_timeout' });
  const waiting = links.control({ servers: one?.url, replicas: 3 }, environmentOf({ cluster: 'other', connectTimeoutMs: 25_000 }), 'n3');
  await Promise.all([two?.restart(), three?.restart()]);
  await waiting;
  await expect.poll(() => link.members.read('a').catch(() => undefined), { timeout: 20_000 }).toMatchObject({ value: 'one' });
  expect(told.states).toEqual([true]);
});

test('the leader of a replicated bucket is killed: watches go on, and miss no last update', async () => {
  await using cluster = await startNatsCluster();
  await using links = new Links();
  const around = environmentOf({ cluster: 'leader' });
  const options = { servers: cluster.urls, replicas: 3, storeTimeoutMs: 500 };
  const opened = await Promise.all(['n1', 'n2', 'n3'].map((nodeId) => links.control(options, around, nodeId)));
  const mirrors = await Promise.all(
    opened.map(async ({ link }) => {
      const mirror = new Mirror();
      await link.shards.watch(mirror);
      return mirror;
    }),
  );
  const writer = opened[0]?.link.shards;
  await writer?.write('a', 'before', 0);
  const leader = await cluster.leaderOf('KV_perkey_leader_shards');
  await leader.kill();
  const write = async (): Promise<boolean> => {
    const before = await writer?.read('a');
    return (await writer?.write('a', 'after', before?.revision ?? 0))?.applied === true;
  };
  await expect.poll(() => write().catch(() => false), { timeout: 20_000, interval: 100 }).toBe(true);
  const stored = await writer?.read('a');
  for (const mirror of mirrors) {
    await expect.poll(() => mirror.values.get('a'), { timeout: 10_000 }).toEqual(stored);
    expect(mirror.fell).toBe(0);
  }
});
