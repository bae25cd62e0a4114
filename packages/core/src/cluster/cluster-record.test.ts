import { expect, test } from 'vitest';
import { silentLogger } from '../base/log.ts';
import { noMetrics } from '../base/metrics.ts';
import { seededRandom } from '../base/random.ts';
import { ScriptedRecordStore } from '../testkit/scripted-record-store.ts';
import { VirtualClock } from '../testkit/virtual-clock.ts';
import { checkCluster } from './cluster-record.ts';

function checking() {
  const clock = new VirtualClock();
  const store = new ScriptedRecordStore(clock);
  const environment = { cluster: 'c', clock, random: seededRandom(1), log: silentLogger, metrics: noMetrics, connectTimeoutMs: 2_000 };
  return { clock, store, check: (shards: number, kept?: string) => checkCluster(store, { shards, store: kept }, environment) };
}

test('the first node writes the number of shards, and one with another number is refused with both', async () => {
  const { clock, check } = checking();
  await clock.run(check(64));
  await clock.run(check(64));
  await expect(clock.run(check(128))).rejects.toMatchObject({ code: 'cluster.shards_mismatch', details: { cluster: 64, node: 128 } });
});

test('the first node with a store fixes where durable actors are kept; another kind is refused with both, none at all is not', async () => {
  const { clock, store, check } = checking();
  await clock.run(check(64));
  await clock.run(check(64, 'private'));
  await clock.run(check(64, 'private'));
  await clock.run(check(64));
  expect(JSON.parse(store.table.read('cluster')?.value ?? '')).toMatchObject({ shards: 64, store: 'private' });
  const refused = clock.run(check(64, 'jetstream'));
  await expect(refused).rejects.toMatchObject({ code: 'store.mismatch', details: { cluster: 'private', node: 'jetstream' } });
});

test.each(['{"shards":64,"protocol":9}', 'nonsense'])('a cluster of another protocol is refused: %s', async (value) => {
  const { clock, store, check } = checking();
  store.table.write('cluster', value, 0);
  await expect(clock.run(check(64))).rejects.toMatchObject({ code: 'protocol.unsupported' });
});

test.each(['applied-unavailable', 'applied-refused', 'refused', 'unavailable'] as const)(
  'a first write that ends %s is looked at again',
  async (end) => {
    const { clock, store, check } = checking();
    store.nextWrites({ end });
    await clock.run(check(64));
    expect(store.table.read('cluster')?.value).toContain('64');
  },
);

test('a store that neither takes the record nor has one is given up in time, without a hot loop', async () => {
  const { clock, store, check } = checking();
  store.always = { write: { end: 'refused' } };
  await expect(clock.run(check(64), { limitMs: 3_000 })).rejects.toMatchObject({ code: 'store.unavailable' });
  expect(store.writesAsked).toBeLessThan(20);
});
