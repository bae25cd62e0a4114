import { connect, defineActor, type Metrics, startNode } from '@perkey/core';
import { nats } from '@perkey/nats';
import { z } from 'zod';
import { createHttpServer, listen } from '../../examples/support/src/http-server.ts';
import { createLog } from '../../examples/support/src/log.ts';
import { addRoutes } from '../../examples/counter/src/routes.ts';
import { counter } from '../../examples/counter/src/counter.ts';
import { type Health, hostileCluster, hostileShards, type Ready } from './health.ts';
import { Stalls } from './stalls.ts';

const box = defineActor('box', {
  put: { input: z.object({ amount: z.number(), tags: z.array(z.string()).default([]) }), output: z.number() },
  get: { output: z.number(), readonly: true },
  echo: {},
}).host({
  state: () => ({ value: 0, last: null as unknown }),
  // So that the memory of the process is what is kept by mistake.
  passivateAfterMs: 200,
  put: (ctx, { amount }) => (ctx.state.value += amount),
  get: (ctx) => ctx.state.value,
  echo: (ctx, input) => {
    ctx.state.last = input;
    return input;
  },
});

const watched: Readonly<Record<string, object>> = {
  ...{ Object: Object.prototype, Array: Array.prototype, String: String.prototype, Number: Number.prototype, Function: Function.prototype },
  ...{ Promise: Promise.prototype, Map: Map.prototype, Uint8Array: Uint8Array.prototype, Date: Date.prototype, Error: Error.prototype },
  ...{ Json: JSON, Reflect, global: globalThis },
};
const shapeOf = (value: object): string => Reflect.ownKeys(value).map(String).sort().join();

function counted(metrics: Metrics, name: string): number {
  const family = metrics.snapshot().find((one) => one.name === name);
  return (family?.series ?? []).reduce((sum, series) => sum + ('value' in series ? series.value : 0), 0);
}

async function main(servers: string): Promise<void> {
  const log = await createLog('info');
  const transport = nats({ servers });
  const options = { cluster: hostileCluster, nodeId: 'target', shards: hostileShards, transport, actors: [box, counter], log, env: {} };
  const node = await startNode(options);
  const client = await connect({ cluster: hostileCluster, transport, log, env: {} });
  const app = createHttpServer(log);
  addRoutes(app, client);
  const httpPort = await listen(app, '127.0.0.1', 0, log);
  const stalls = new Stalls();
  const before = new Map(Object.entries(watched).map(([name, value]) => [name, shapeOf(value)]));
  const health = (): Health => {
    const longest = stalls.take();
    globalThis.gc?.();
    const families = [node, client].flatMap(({ metrics }) => metrics.snapshot());
    stalls.forgetNow();
    return {
      heapBytes: process.memoryUsage().heapUsed,
      handles: process.getActiveResourcesInfo().length,
      badFrames: counted(node.metrics, 'perkey_cluster_bad_frames_total'),
      badAddresses: counted(node.metrics, 'perkey_nats_bad_addresses_total'),
      callbackErrors: [node, client].reduce((sum, { metrics }) => sum + counted(metrics, 'perkey_transport_callback_errors_total'), 0),
      resident: node.inspect()?.actors.resident ?? -1,
      series: families.reduce((sum, { series }) => sum + series.length, 0),
      ...longest,
      prototypesChanged: [...before].filter(([name, shape]) => shapeOf(watched[name] as object) !== shape).map(([name]) => name),
    };
  };
  process.on('message', (message) => {
    if (message === 'health') process.send?.({ health: health() });
    // A look at the counts only, without the pause of a collection.
    else if (message === 'count') process.send?.({ count: counted(node.metrics, 'perkey_cluster_bad_frames_total') });
  });
  process.once('disconnect', () => process.exit(0));
  process.send?.({ ready: { incarnation: node.incarnation, httpPort } satisfies Ready });
}

await main(process.argv[2] ?? '');
