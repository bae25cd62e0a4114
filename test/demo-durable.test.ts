import { startNatsServer } from '@perkey/nats/dev';
import { describe, expect, test } from 'vitest';
import { DemoProcess, freshCluster } from './support/demo-process.ts';
import { HttpLoad, send } from './support/http-load.ts';

const ids = Array.from({ length: 40 }, (_, index) => `counter-${index}`);

describe('npm run demo -- --durable', () => {
  test.each([['supervised'], ['--no-supervisor']])('with --processes every count is exact after kill -9 of a node, %s', async (flag) => {
    const args = ['--durable', '--processes', '--nodes', '3', '--shards', '16', ...(flag === 'supervised' ? [] : [flag])];
    await using demo = await DemoProcess.ready(args);
    const load = new HttpLoad({ url: demo.url, ids });
    await load.more(1_500);
    const started = await demo.line('started the process of a node', ({ nodeId }) => nodeId === 'node-1');
    process.kill(started.pid, 'SIGKILL');
    load.mark();
    // Until every counter has been incremented since, also those of the node that is gone.
    for (const giveUpAt = performance.now() + 20_000; ids.some((id) => load.of(id).okAnsweredSinceMark === 0);) {
      if (performance.now() > giveUpAt) break;
      await new Promise((resolve) => void setTimeout(resolve, 20));
    }
    await load.stop();
    expect(ids.filter((id) => load.of(id).okAnsweredSinceMark === 0)).toEqual([]);
    expect(await load.inexact()).toEqual([]);
    load.close();
    expect((await demo.stop()).code).toBe(0);
  });

  test('the counts outlive the whole demo on a server that goes on, and a node that joins keeps them too', async () => {
    await using server = await startNatsServer();
    const cluster = freshCluster();
    const args = ['--durable', '--nodes', '2', '--shards', '16', '--cluster', cluster];
    const options = { env: { NATS_URL: server.url } };
    const increment = async (demo: DemoProcess): Promise<unknown> =>
      (JSON.parse((await send(demo.url, { method: 'POST', path: '/counter/a/increment' })).body) as { value: unknown }).value;
    {
      await using demo = await DemoProcess.ready(args, options);
      expect([await increment(demo), await increment(demo)]).toEqual([1, 2]);
    }
    await using demo = await DemoProcess.ready(args, options);
    expect(await increment(demo)).toBe(3);
    await using node = new DemoProcess('node-main', ['--id', 'node-7', '--cluster', cluster]);
    await node.line('starting node');
    expect(await increment(demo)).toBe(4);
    expect((await node.stop()).code).toBe(0);
    expect(await increment(demo)).toBe(5);
  });

  test('without NATS it is refused', async () => {
    const demo = new DemoProcess('main', [
      '--durable',
      '--embedded',
      '--http-port',
      '0',
      '--metrics-port',
      '0',
      '--cluster',
      freshCluster(),
    ]);
    expect((await demo.exited).code).toBe(1);
    expect(demo.stderr).toBe('--durable needs NATS: without it nothing outlives this process\n');
  });
});
