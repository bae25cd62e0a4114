import { storeSuite } from '@perkey/core/testing';
import { jetstream } from '@perkey/nats';
import { startNatsServer, type NatsServer } from '@perkey/nats/dev';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { testServers } from './support/newest-server.ts';

describe.each(await testServers())('$name', ({ binary }) => {
  let server: NatsServer;
  let count = 0;
  beforeAll(async () => {
    server = await startNatsServer({ binary });
  });
  afterAll(() => server.stop());

  storeSuite({
    test,
    name: 'jetstream',
    open: () => {
      count += 1;
      const store = jetstream({ servers: server.url });
      return Promise.resolve({ store, another: store, cluster: `suite${count}`, close: () => Promise.resolve() });
    },
  });
});
