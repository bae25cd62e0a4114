import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { noContainerEngine } from './container.ts';
import { findNats } from './find-nats.ts';

const problem = await noContainerEngine(process.env);
const why = problem === undefined ? '' : ` (skipped: ${problem})`;

test.skipIf(problem !== undefined)(`a server in a container answers, and is gone after stop${why}`, { timeout: 180_000 }, async () => {
  const found = await findNats({ env: {}, ways: ['container'] });
  expect(found).toMatchObject({ source: 'container', info: { jetstream: true } });
  await found.stop();
  await found.stop();
  await expect(findNats({ url: found.url, answerTimeoutMs: 500 })).rejects.toMatchObject({ code: 'transport.connect_timeout' });
});

test('an engine that answers on its socket is one, whatever it says', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'perkey-engine-'));
  const engine = createServer((_request, response) => response.writeHead(400).end()).listen(join(dir, 'engine.sock'));
  await once(engine, 'listening');
  expect(await noContainerEngine({ DOCKER_HOST: `unix://${join(dir, 'engine.sock')}` })).toBeUndefined();
  engine.close();
  await rm(dir, { recursive: true });
});

test('no engine is a reason with its address', async () => {
  expect(await noContainerEngine({ DOCKER_HOST: 'unix:///no/such/engine.sock' })).toMatch(
    /unix:\/\/\/no\/such\/engine.sock does not answer: .*ENOENT/,
  );
  expect(await noContainerEngine({ DOCKER_HOST: 'nonsense' })).toContain('cannot be understood');
});

test('an engine that accepts and stays silent is given up after a second', async () => {
  const silent = createTcpServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as { port: number };
  expect(await noContainerEngine({ DOCKER_HOST: `tcp://127.0.0.1:${port}` })).toContain('timed out');
  silent.close();
});
