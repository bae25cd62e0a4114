import { startNatsServer } from '@perkey/nats/dev';
import { expect, test } from 'vitest';
import { DemoProcess } from './support/demo-process.ts';
import { type HttpAnswer, send } from './support/http-load.ts';

const increment = (demo: DemoProcess, timeoutMs: number): Promise<HttpAnswer> =>
  send(demo.url, { method: 'POST', path: '/counter/a/increment', headers: { 'x-request-timeout-ms': String(timeoutMs) } });

const health = async (demo: DemoProcess): Promise<readonly [number, unknown]> => {
  const { status, body } = await send(demo.url, { path: '/health' });
  return [status, (JSON.parse(body) as { readonly checks: unknown }).checks];
};

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => void setTimeout(resolve, 20));
}

const outcome = ({ status, body }: HttpAnswer): readonly [number, string, string] => {
  const { code, executed } = JSON.parse(body) as { readonly code: string; readonly executed: string };
  return [status, code, executed];
};

test('a node that does not answer is a 504, and one that is gone a 503', async () => {
  await using demo = await DemoProcess.ready(['--processes', '--no-supervisor', '--nodes', '1', '--shards', '4']);
  const pid = (await demo.line('started the process of a node')).pid;
  expect((await increment(demo, 5_000)).status).toBe(200);
  process.kill(pid, 'SIGSTOP');
  expect(outcome(await increment(demo, 200))).toEqual([504, 'deadline.exceeded', 'unknown']);
  process.kill(pid, 'SIGKILL');
  await demo.line('the process of a node has ended');
  await until(async () => (await increment(demo, 50)).status === 503);
  const answer = await increment(demo, 200);
  expect(outcome(answer)).toEqual([503, 'shard.no_owner', 'no']);
  expect(answer.headers['retry-after']).toBe('1');
  expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
});

test('health follows the connection to NATS, and the counters outlive its outage', async () => {
  await using server = await startNatsServer();
  await using demo = await DemoProcess.ready(['--nodes', '2'], { env: { NATS_URL: server.url } });
  expect((await increment(demo, 5_000)).status).toBe(200);
  await server.kill();
  await until(async () => (await health(demo))[0] === 503);
  expect((await health(demo))[1]).toMatchObject({ connection: { ok: false, saw: 'not connected' } });
  expect(outcome(await increment(demo, 200))).toEqual([503, 'shard.no_owner', 'no']);
  await server.restart();
  await until(async () => (await health(demo))[0] === 200);
  const { body } = await increment(demo, 5_000);
  expect(JSON.parse(body)).toEqual({ counter_id: 'a', value: 2 });
  expect((await demo.stop()).code).toBe(0);
});

test('a demo whose NATS is gone ends in time all the same', async () => {
  await using server = await startNatsServer();
  await using demo = await DemoProcess.ready(['--nodes', '2'], { env: { NATS_URL: server.url } });
  await increment(demo, 5_000);
  await server.kill();
  const { tookMs } = await demo.stop();
  expect(tookMs).toBeLessThan(5_000);
});
