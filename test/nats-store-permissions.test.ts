import { connect, type Status } from '@nats-io/transport-node';
import { storeEnvironment } from '@perkey/core/testing';
import { MetricsRegistry } from '@perkey/core';
import { jetstream } from '@perkey/nats';
import { startNatsServer, type NatsServer } from '@perkey/nats/dev';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const page = await readFile(join(dirname(import.meta.dirname), 'packages/nats/README.md'), 'utf8');
const config = /```conf\n# store\.conf\n([^]*?)```/.exec(page)?.[1] ?? '';

describe('the permissions of the store that the page gives', () => {
  let server: NatsServer;
  beforeAll(async () => {
    server = await startNatsServer({ config });
  });
  afterAll(() => server.stop());

  test('let it open, append, read, follow, trim and keep records, and refuse nothing that it asks for', async () => {
    const metrics = new MetricsRegistry();
    const store = await jetstream({ servers: server.url, user: 'store', pass: 'store-secret' }).open(
      storeEnvironment({ cluster: 'demo', metrics }),
    );
    const stream = { type: 'Account', key: 'alice' };
    let head = 0;
    for (const log of [store.events, store.states]) {
      head = 0;
      for (let i = 0; i < 5; i += 1) {
        const outcome = await log.append({ stream, shard: 0, expectedSequence: head, epoch: 1, body: Buffer.from(`${i}`) });
        if (outcome.kind !== 'appended') throw new Error(JSON.stringify(outcome));
        head = outcome.sequence;
      }
      for (const filter of [{ stream }, { types: ['Account'] }, { types: ['Account', 'Order'] }, {}]) {
        let last = 0;
        for await (const { records } of log.read({ after: 0, batchMax: 2, ...filter })) last = records.at(-1)?.sequence ?? last;
        expect(last).toBe(head);
      }
      for await (const { live } of log.read({ after: 0, batchMax: 2, follow: true })) if (live) break;
    }
    await store.events.trim(stream, head);
    expect(await store.events.last()).toBe(head);
    for (const sequence of [1, 2, 3]) await store.snapshots.save(stream, { sequence, body: Buffer.from('x') }, 2);
    expect(await store.snapshots.load(stream)).toHaveLength(2);
    await store.snapshots.forget(stream);
    const written = await store.records.write('checkpoint.a', 'one', 0);
    expect(await store.records.read('checkpoint.a')).toMatchObject({ value: 'one' });
    for await (const records of store.records.list('checkpoint.')) expect(records).toHaveLength(1);
    await store.records.forget('checkpoint.a', written.applied ? written.revision : 0);
    await store.close();
    const refused = metrics.snapshot().find(({ name }) => name === 'perkey_nats_permission_errors_total');
    expect(refused?.series.map((series) => ('value' in series ? series.value : -1))).toEqual([0]);
  });

  test('allow nothing else', async () => {
    const connection = await connect({ servers: server.url, user: 'store', pass: 'store-secret', reconnect: false });
    const seen: Status[] = [];
    void (async () => {
      for await (const status of connection.status()) seen.push(status);
    })();
    const forbidden = ['$KV.perkey_demo_shards.0', '$JS.API.STREAM.PURGE.perkey_demo_events', '$JS.API.STREAM.DELETE.perkey_demo_events'];
    for (const subject of [...forbidden, 'perkey.demo.node.n1.i1', 'perkey.other.events.Account.x']) connection.publish(subject, 'x');
    await connection.flush();
    await expect.poll(() => seen.filter(({ type }) => type === 'error').length).toBe(5);
    await connection.close();
  });
});
