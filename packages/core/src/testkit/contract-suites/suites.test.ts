import { expect, test } from 'vitest';
import { systemClock } from '../../base/clock.ts';
import { silentLogger } from '../../base/log.ts';
import { noMetrics } from '../../base/metrics.ts';
import { systemRandom } from '../../base/random.ts';
import type { RecordStore } from '../../contract/record-store.ts';
import type { DataLink, DataLinkEvents, Transport } from '../../contract/transport.ts';
import { memory } from '../../memory/memory-hub.ts';
import { recordStoreSuite } from './record-store-suite.ts';
import type { SuiteTest } from './suite.ts';
import { transportSuite } from './transport-suite.ts';

/** Runs what a suite registers; gives the names of the cases that failed, without that of the subject. */
async function failures(register: (test: SuiteTest) => void): Promise<readonly string[]> {
  const cases: { name: string; run: () => Promise<void> }[] = [];
  register(Object.assign((name: string, run: () => Promise<void>) => cases.push({ name, run }), { skip: () => {} }));
  const failed: string[] = [];
  for (const { name, run } of cases) await run().catch(() => failed.push(name.replace('broken: ', '')));
  return failed;
}

function brokenStore(spoil: (store: RecordStore) => Partial<RecordStore>): Promise<readonly string[]> {
  return failures((suiteTest) => {
    const open = async () => {
      const environment = {
        cluster: 'c',
        clock: systemClock,
        random: systemRandom,
        log: silentLogger,
        metrics: noMetrics,
        connectTimeoutMs: 1_000,
      };
      const link = await memory().openControl('n1', { onState: () => {} }, environment);
      const whole: RecordStore = {
        read: (key) => link.shards.read(key),
        write: (key, value, expected) => link.shards.write(key, value, expected),
        forget: (key, upTo) => link.shards.forget(key, upTo),
        watch: (listener) => link.shards.watch(listener),
      };
      return { store: { ...whole, ...spoil(link.shards) }, close: () => link.close() };
    };
    const skip = {
      'a second connection sees the same records': 'not offered',
      'a watch sees what another connection writes': 'not offered',
      'a store works again after a reconnect': 'not offered',
      'after a reconnect a watch catches up and says again that it is synced': 'not offered',
    };
    recordStoreSuite({ test: suiteTest, name: 'broken', open, skip });
  });
}

function brokenTransport(spoil: (link: DataLink, events: DataLinkEvents) => Partial<DataLink>): Promise<readonly string[]> {
  return failures((suiteTest) => {
    const open = () => {
      const inner = memory();
      const transport: Transport = {
        name: 'broken',
        openControl: (...parts) => inner.openControl(...parts),
        openData: async (role, events, environment) => {
          const link = await inner.openData(role, events, environment);
          const spoilt = spoil(link, events);
          return new Proxy(link, {
            get: (target, property) => {
              const value: unknown = Reflect.get(Object.hasOwn(spoilt, property) ? spoilt : target, property);
              return typeof value === 'function' ? (value.bind(target) as unknown) : value;
            },
          });
        },
      };
      return Promise.resolve({ transport, cluster: 'c', close: () => Promise.resolve() });
    };
    transportSuite({ test: suiteTest, name: 'broken', open, skip: withoutOutageAndForeignCalls });
  });
}

const withoutOutageAndForeignCalls = {
  'while the broker is away links are down and send gives false; they come back by themselves': 'not offered',
  'records and watches outlive an outage of the broker': 'not offered',
  'without a broker, opening rejects with transport.connect_timeout': 'not offered',
  'a link that is being opened waits for the broker': 'not offered',
  'foreign calls: a node is given the whole call, and its answer comes back as JSON': 'not offered',
  'foreign calls: a rejection is answered with its code': 'not offered',
  'foreign calls: each is taken by one node': 'not offered',
  'foreign calls: what no node offers is refused, and the offer ends with its link': 'not offered',
};

test('the suites pass what is not broken', async () => {
  expect(await brokenStore(() => ({}))).toEqual([]);
  expect(await brokenTransport(() => ({}))).toEqual([]);
});

test('a store without compare-and-set is found', async () => {
  const failed = await brokenStore((store) => ({
    write: async (key, value) => store.write(key, value, (await store.read(key))?.revision ?? 0),
  }));
  expect(failed).toEqual(
    expect.arrayContaining([
      'creating what exists is refused',
      'a stale revision is refused and the latest is taken',
      'a revision that does not exist is refused',
    ]),
  );
});

test('a store that forgets whatever the revision, takes any key, or lets a watch fall back is found', async () => {
  const forgetful = await brokenStore((store) => ({ forget: (key) => store.forget(key, 1_000_000) }));
  expect(forgetful).toEqual(['forget removes a record at its revision and leaves a newer one']);
  const careless = await brokenStore((store) => ({ read: (key) => store.read(key.replaceAll(/[^a-z]/g, '') || 'x') }));
  expect(careless).toContain('a key outside of the charset is rejected and touches nothing');
  const unordered = await brokenStore((store) => ({
    watch: (listener) =>
      store.watch({
        onSynced: () => listener.onSynced(),
        onRecord: (record) => {
          listener.onRecord(record);
          listener.onRecord({ ...record, revision: record.revision - 1 });
          listener.onRecord(record);
        },
      }),
  }));
  expect(unordered).toContain('a watch delivers updates in rising order and never misses the last');
});

test('a link that reports what arrived, delivers twice, or sends after close is found', async () => {
  const talkative = await brokenTransport((link, events) => ({
    send: (to, frame, token) => {
      if (token >= 0) events.onUndeliverable(token);
      return link.send(to, frame, token);
    },
  }));
  expect(talkative).toContain('frames that reach nobody are reported by token, no others');
  const doubling = await brokenTransport((link) => ({
    send: (to, frame, token) => link.send(to, frame, token) && link.send(to, frame, token),
  }));
  expect(doubling).toContain('any node: each frame reaches exactly one node');
  const unlimited = await brokenTransport((link) => ({
    send: (to, frame, token) => {
      if (!link.up) return true;
      return frame.length > link.frameBytesMax || link.send(to, frame, token);
    },
  }));
  expect(unlimited).toEqual([
    'a frame of frameBytesMax arrives, a larger one throws payload.too_large and the link lives',
    'after close nothing is delivered, nothing is sent, and senders learn it',
    'a reset link is down at once, then up again at the same addresses',
  ]);
});

test('a part that the subject lacks must be skipped by name, and names are checked', async () => {
  const open = () => Promise.reject(new Error('never opened'));
  const skip = { 'no such case': 'a reason' };
  expect(() => transportSuite({ test, name: 'x', open, skip })).toThrow(/no case named "no such case"/);
  const failed = await failures((suiteTest) => {
    transportSuite({
      test: suiteTest,
      name: 'broken',
      open: () => Promise.resolve({ transport: memory(), cluster: 'c', close: () => Promise.resolve() }),
    });
  });
  expect(failed.toSorted()).toEqual(Object.keys(withoutOutageAndForeignCalls).toSorted());
});
