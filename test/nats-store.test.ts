import { noMetrics, silentLogger, systemClock, systemRandom, type LinkEnvironment } from '@perkey/core';
import { recordStoreSuite } from '@perkey/core/testing';
import { nats } from '@perkey/nats';
import { startNatsServer, type NatsServer } from '@perkey/nats/dev';
import { afterAll, beforeAll, test } from 'vitest';

let server: NatsServer;
let count = 0;
beforeAll(async () => {
  server = await startNatsServer();
});
afterAll(() => server.stop());

function environment(cluster: string): LinkEnvironment {
  return { cluster, clock: systemClock, random: systemRandom, log: silentLogger, metrics: noMetrics, connectTimeoutMs: 5_000 };
}

recordStoreSuite({
  test,
  name: 'nats',
  open: async () => {
    count += 1;
    const around = environment(`store${count}`);
    let up = (): void => {};
    const transport = nats({ servers: server.url });
    const link = await transport.openControl('n1', { onState: (isUp) => isUp && up() }, around);
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
