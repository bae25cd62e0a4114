import { expect, test } from 'vitest';
import { systemClock } from '../base/clock.ts';
import type { Clock } from '../base/clock.ts';
import { silentLogger } from '../base/log.ts';
import { noMetrics } from '../base/metrics.ts';
import { systemRandom } from '../base/random.ts';
import type { ControlLink } from '../contract/transport.ts';
import { Arrivals } from '../testkit/contract-suites/arrivals.ts';
import { recordStoreSuite } from '../testkit/contract-suites/record-store-suite.ts';
import { VirtualClock } from '../testkit/virtual-clock.ts';
import { memoryHub } from './memory-hub.ts';
import type { MemoryHub } from './memory-hub.ts';

function control(hub: MemoryHub, clock: Clock, onState: (up: boolean) => void = () => {}): Promise<ControlLink> {
  const environment = { cluster: 'demo', clock, random: systemRandom, log: silentLogger, metrics: noMetrics, connectTimeoutMs: 1_000 };
  return hub.transport().openControl('n1', { onState }, environment);
}

recordStoreSuite({
  test,
  name: 'memory',
  open: async () => {
    const hub = memoryHub();
    const states = new Arrivals<boolean>();
    const link = await control(hub, systemClock, (up) => states.push(up));
    return {
      store: link.shards,
      another: async () => (await control(hub, systemClock)).shards,
      reconnect: () => {
        const after = states.items.length + 2;
        link.reset();
        return states.count(after);
      },
      close: () => link.close(),
    };
  },
});

test('a write whose answer is lost with the connection may have been applied', async () => {
  const clock = new VirtualClock();
  const hub = memoryHub();
  const link = await clock.run(control(hub, clock));
  const write = link.shards.write('a', 'one', 0);
  const lost = expect(write).rejects.toThrow(expect.objectContaining({ code: 'store.unavailable', executed: 'unknown' }));
  link.reset();
  await clock.settle();
  await lost;
  expect(hub.cluster('demo').shards.read('a')?.value).toBe('one');
});

test('a frozen process has its write applied and hears of it when it goes on', async () => {
  const world = new VirtualClock();
  const process = world.fork();
  const hub = memoryHub();
  const link = await world.run(control(hub, process));
  let answers = 0;
  void link.shards.write('a', 'one', 0).then(() => (answers += 1));
  process.freeze();
  await world.advance(10_000);
  expect(hub.cluster('demo').shards.read('a')?.value).toBe('one');
  expect(answers).toBe(0);
  process.thaw();
  await world.settle();
  expect(answers).toBe(1);
});

test('a watch that could not be set up delivers nothing later', async () => {
  const clock = new VirtualClock();
  const hub = memoryHub();
  const link = await clock.run(control(hub, clock));
  const told: string[] = [];
  const watching = link.shards.watch({ onRecord: (record) => void told.push(record.key), onSynced: () => void told.push('synced') });
  const lost = expect(watching).rejects.toThrow(expect.objectContaining({ code: 'store.unavailable' }));
  link.reset();
  await clock.settle();
  await lost;
  hub.cluster('demo').shards.write('a', 'one', 0);
  await clock.settle();
  expect(told).toEqual([]);
});

test('a bucket restored from a backup has its old records and revisions', async () => {
  const clock = new VirtualClock();
  const hub = memoryHub();
  const link = await clock.run(control(hub, clock));
  await clock.run(link.shards.write('a', 'one', 0));
  const { shards } = hub.cluster('demo');
  const backup = shards.records();
  await clock.run(link.shards.write('a', 'two', 1));
  shards.restore(backup);
  expect(await clock.run(link.shards.read('a'))).toMatchObject({ value: 'one', revision: 1 });
  expect(await clock.run(link.shards.write('a', 'three', 1))).toEqual({ applied: true, revision: 2 });
  shards.restore([]);
  expect(await clock.run(link.shards.write('a', 'four', 0))).toEqual({ applied: true, revision: 1 });
});
