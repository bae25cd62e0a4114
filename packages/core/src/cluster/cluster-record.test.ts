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
  return { clock, store, check: (shards: number) => checkCluster(store, shards, environment) };
}

test('the first node writes the number of shards, and one with another number is refused with both', async () => {
  const { clock, check } = checking();
  await clock.run(check(64));
  await clock.run(check(64));
  await expect(clock.run(check(128))).rejects.toMatchObject({ code: 'cluster.shards_mismatch', details: { cluster: 64, node: 128 } });
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
