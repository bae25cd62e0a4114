import { connect as connectNats } from '@nats-io/transport-node';
import { jetstreamManager } from '@nats-io/jetstream';
import { once } from 'node:events';
import { access, mkdtemp, readdir, rm } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startNatsServer } from './nats-server.ts';
import { readServerInfo } from './server-info.ts';

async function dial(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  await once(socket, 'data');
  return socket;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** The folder that the server keeps its files in, as its own log tells. */
async function workDirOf(log: string): Promise<string> {
  const file = log.match(/Using configuration file: (\S+)\/nats\.conf/)?.[1];
  if (file === undefined) throw new Error('the log names no configuration file');
  return file;
}

test('a started server answers on a free port of 127.0.0.1, with JetStream', async () => {
  await using server = await startNatsServer();
  expect(server.url).toBe(`nats://127.0.0.1:${server.port}`);
  expect(server.port).toBeGreaterThan(0);
  expect(server.info).toMatchObject({ serverName: server.name, jetstream: true });
  const health = await fetch(`${server.monitoringUrl}/healthz`);
  expect(await health.json()).toEqual({ status: 'ok' });
});

test('several servers at once get ports of their own', async () => {
  const servers = await Promise.all([startNatsServer(), startNatsServer(), startNatsServer({ jetstream: false })]);
  expect(new Set(servers.map((server) => server.port)).size).toBe(3);
  expect(servers.map((server) => server.info.jetstream)).toEqual([true, true, false]);
  await Promise.all(servers.map((server) => server.stop()));
});

test('stop leaves neither a process nor a file, and may be called again', async () => {
  const server = await startNatsServer();
  const workDir = await workDirOf(await server.log());
  const { pid } = server;
  expect(await exists(workDir)).toBe(true);
  await server.stop();
  expect(server.running).toBe(false);
  expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  expect(await exists(workDir)).toBe(false);
  await server.stop();
});

test('a killed server comes back on the same port with its streams', async () => {
  await using server = await startNatsServer();
  const { port, pid } = server;
  const before = await connectNats({ servers: server.url });
  await (await jetstreamManager(before)).streams.add({ name: 'kept', subjects: ['kept.>'] });
  await before.close();
  await server.kill();
  expect(server.running).toBe(false);
  await expect(readServerInfo({ host: '127.0.0.1', port }, 1_000)).rejects.toThrow('ECONNREFUSED');
  await server.restart();
  expect(server.port).toBe(port);
  expect(server.pid).not.toBe(pid);
  const after = await connectNats({ servers: server.url });
  expect((await (await jetstreamManager(after)).streams.info('kept')).config.name).toBe('kept');
  await after.close();
});

test('restart waits until whoever took the port has left it', async () => {
  await using server = await startNatsServer();
  await server.kill();
  const squatter = createServer().listen(server.port, '127.0.0.1');
  await once(squatter, 'listening');
  const restarted = server.restart();
  while (!(await server.log()).includes('address already in use')) await new Promise(setImmediate);
  squatter.close();
  await restarted;
  expect(server.running).toBe(true);
});

test('a frozen server keeps its connections and answers nothing until it is thawed', async () => {
  await using server = await startNatsServer();
  const socket = await dial(server.port);
  await server.freeze();
  expect(server.running).toBe(true);
  await expect(readServerInfo({ host: '127.0.0.1', port: server.port }, 100)).rejects.toThrow('no INFO line within 100 ms');
  socket.write('CONNECT {"verbose":false}\r\nPING\r\n');
  const answer = once(socket, 'data');
  server.thaw();
  expect(String(await answer)).toContain('PONG');
  socket.destroy();
});

test('a frozen server can be stopped', async () => {
  const server = await startNatsServer();
  await server.freeze();
  await server.stop();
  expect(server.running).toBe(false);
});

test('a server that somebody else ended is seen as ended', async () => {
  await using server = await startNatsServer();
  const socket = await dial(server.port);
  const closed = once(socket, 'close');
  process.kill(server.pid, 'SIGKILL');
  await closed;
  while (server.running) await new Promise(setImmediate);
  expect(() => server.pid).toThrow('does not run');
});

test('extra configuration reaches the server', async () => {
  await using server = await startNatsServer({ config: 'max_payload: 4096\nauthorization { user: "ann", password: "secret" }' });
  const connection = await connectNats({ servers: server.url, user: 'ann', pass: 'secret' });
  expect(connection.info?.max_payload).toBe(4096);
  await connection.close();
  await expect(connectNats({ servers: server.url, reconnect: false })).rejects.toThrow(/authorization/i);
});

test('a store folder that was given is kept', async () => {
  const storeDir = await mkdtemp(join(tmpdir(), 'perkey-store-'));
  const server = await startNatsServer({ storeDir });
  await server.stop();
  expect(await readdir(storeDir)).toEqual(['jetstream']);
  await rm(storeDir, { recursive: true });
});

test('a taken port, bad configuration and a missing program are errors that say so, with nothing left behind', async () => {
  const squatter = createServer().listen(0, '127.0.0.1');
  await once(squatter, 'listening');
  const { port } = squatter.address() as AddressInfo;
  await expect(startNatsServer({ port })).rejects.toMatchObject({
    code: 'nats_server.not_found',
    message: expect.stringContaining(`port ${port} is taken`),
  });
  squatter.close();
  await expect(startNatsServer({ config: 'no_such_thing: 1' })).rejects.toThrow('no_such_thing');
  await expect(startNatsServer({ binary: '/no/such/nats-server' })).rejects.toThrow(
    '/no/such/nats-server did not start: it ended at once (127)',
  );
});
