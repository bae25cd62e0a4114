import { connect, headers } from '@nats-io/transport-node';
import { transportSuite } from '@perkey/core/testing';
import { nats } from '@perkey/nats';
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

  transportSuite({
    test,
    name: 'transport',
    skip: {
      'a link closed while it is down stays closed':
        'a server may notice that a connection was reset after it took a frame for it; see nats-link.test.ts',
    },
    open: async () => {
      if (!server.running) await server.restart();
      count += 1;
      const cluster = `suite${count}`;
      const foreign = await connect({ servers: server.url, reconnect: false });
      return {
        transport: nats({ servers: server.url }),
        cluster,
        outage: { begin: () => server.kill(), end: () => server.restart() },
        async callJson({ type, method, key, input, timeoutMs, idempotencyKey, headers: trace }) {
          const marks = headers();
          marks.set('Perkey-Key', encodeURIComponent(key));
          if (timeoutMs !== undefined) marks.set('Perkey-Timeout-Ms', String(timeoutMs));
          if (idempotencyKey !== undefined) marks.set('Idempotency-Key', idempotencyKey);
          for (const [name, value] of Object.entries(trace ?? {})) marks.set(name, value);
          const body = input === undefined ? '' : JSON.stringify(input);
          const answer = await foreign.request(`perkey.${cluster}.call.${type}.${method}`, body, { headers: marks, timeout: 5_000 });
          const code = answer.headers?.get('Perkey-Error-Code');
          if (code) throw Object.assign(new Error(answer.string()), { code });
          return answer.json();
        },
        close: () => foreign.close(),
      };
    },
  });
});
