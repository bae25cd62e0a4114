import { startNatsServer } from '@perkey/nats/dev';
import { expect, test } from 'vitest';
import { DemoProcess } from './support/demo-process.ts';
import { send } from './support/http-load.ts';

const valueOf = (body: string): number => (JSON.parse(body) as { readonly value: number }).value;

test('with --durable every count is exact after kill -9 of a node in the midst of increments that are repeated under their keys', async () => {
  await using server = await startNatsServer();
  const cluster = ['--cluster', `durable-load-${process.pid}`, '--shards', '8', '--nodes', '3', '--durable', '--processes'];
  await using demo = await DemoProcess.ready(cluster, { env: { NATS_URL: server.url } });
  const counts = new Map(Array.from({ length: 32 }, (_, index) => [`busy-${index}`, 0]));
  const killAfter = 200;
  let sent = 0;
  let killedAt = Infinity;
  const surely = async (key: string): Promise<void> => {
    sent += 1;
    const headers = { 'idempotency-key': `${key}-${sent}` };
    for (;;) {
      const { status } = await send(demo.url, { method: 'POST', path: `/counter/${key}/increment`, headers });
      if (status === 200) return;
      expect(status).toBeGreaterThanOrEqual(500);
    }
  };
  const lanes = [...counts.keys()].map(async (key) => {
    for (let after = 0; after < 5; after += sent >= killedAt ? 1 : 0) {
      await surely(key);
      counts.set(key, counts.get(key)! + 1);
    }
  });
  while (sent < killAfter) await new Promise((resolve) => void setTimeout(resolve, 5));
  process.kill((await demo.line('started the process of a node')).pid, 'SIGKILL');
  await demo.line('the process of a node has ended');
  killedAt = sent;
  await Promise.all(lanes);
  const found = await Promise.all(
    [...counts.keys()].map(async (key) => [key, valueOf((await send(demo.url, { path: `/counter/${key}` })).body)] as const),
  );
  expect(Object.fromEntries(found)).toEqual(Object.fromEntries(counts));
}, 60_000);

test('with --durable every count is exact after kill -9 of a node and after a restart of the whole demo', async () => {
  await using server = await startNatsServer();
  const env = { NATS_URL: server.url, COUNTER_DURABLE: 'true' };
  const cluster = ['--cluster', `durable-${process.pid}`, '--shards', '8', '--nodes', '3'];
  const keys = Array.from({ length: 24 }, (_, index) => `count-${index}`);
  const increment = async (demo: DemoProcess, key: string): Promise<number> => {
    const { status, body } = await send(demo.url, { method: 'POST', path: `/counter/${key}/increment` });
    expect(status).toBe(200);
    return valueOf(body);
  };
  const all = (demo: DemoProcess): Promise<readonly number[]> => Promise.all(keys.map((key) => increment(demo, key)));
  {
    await using demo = await DemoProcess.ready([...cluster, '--processes'], { env });
    expect(new Set(await all(demo))).toEqual(new Set([1]));
    expect(new Set(await all(demo))).toEqual(new Set([2]));
    process.kill((await demo.line('started the process of a node')).pid, 'SIGKILL');
    await demo.line('the process of a node has ended');
    expect(new Set(await all(demo))).toEqual(new Set([3]));
  }
  await using again = await DemoProcess.ready(cluster, { env });
  expect(new Set(await all(again))).toEqual(new Set([4]));
  const read = await Promise.all(keys.map((key) => send(again.url, { path: `/counter/${key}` })));
  expect(new Set(read.map(({ body }) => valueOf(body)))).toEqual(new Set([4]));
}, 60_000);
