import { test } from 'vitest';
import { systemClock } from '../base/clock.ts';
import { silentLogger } from '../base/log.ts';
import { noMetrics } from '../base/metrics.ts';
import { systemRandom } from '../base/random.ts';
import { memory, memoryHub } from '../memory/memory-hub.ts';
import { Arrivals } from './contract-suites/arrivals.ts';
import { recordStoreSuite } from './contract-suites/record-store-suite.ts';
import { transportSuite } from './contract-suites/transport-suite.ts';
import { FaultyTransport } from './faulty-transport.ts';

transportSuite({
  test,
  name: 'faulty memory without faults',
  open: () => {
    const hub = memoryHub();
    return Promise.resolve({
      transport: new FaultyTransport(memory(hub), { clock: systemClock }),
      cluster: 'suite',
      outage: { begin: () => Promise.resolve(hub.stop()), end: () => Promise.resolve(hub.start()) },
      callJson: (call) => hub.callJson('suite', call),
      close: () => Promise.resolve(),
    });
  },
});

recordStoreSuite({
  test,
  name: 'faulty memory that loses its connection',
  open: async () => {
    const transport = new FaultyTransport(memory(), { clock: systemClock });
    const environment = {
      cluster: 'suite',
      clock: systemClock,
      random: systemRandom,
      log: silentLogger,
      metrics: noMetrics,
      connectTimeoutMs: 1_000,
    };
    const states = new Arrivals<boolean>();
    const link = await transport.openControl('n1', { onState: (up) => states.push(up) }, environment);
    return {
      store: link.members,
      another: async () => (await transport.openControl('n2', { onState: () => {} }, environment)).members,
      reconnect: async () => {
        const down = states.items.length + 1;
        transport.of('n1').disconnect();
        await states.count(down);
        transport.of('n1').reconnect();
        await states.count(down + 1);
      },
      close: () => link.close(),
    };
  },
});
