import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { findNats } from './find-nats.ts';
import { findOnPath } from './find-on-path.ts';
import { startNatsServer } from './nats-server.ts';
import { parseNatsUrls } from './nats-address.ts';
import { readServerInfo } from './server-info.ts';

const onPath = await findOnPath('nats-server', process.env);
const hasApt = (await findOnPath('apt-get', process.env)) !== undefined;

afterEach(() => {
  vi.unstubAllEnvs();
});

test('NATS_URL comes first, is taken as it is, and is not stopped', async () => {
  await using server = await startNatsServer();
  const url = `nats://ann:secret@127.0.0.1:${server.port}`;
  const found = await findNats({ env: { ...process.env, NATS_URL: ` ${url} ` } });
  expect(found).toMatchObject({
    source: 'NATS_URL',
    url,
    info: { serverName: server.name, version: server.info.version },
    program: undefined,
  });
  await found.stop();
  expect(server.running).toBe(true);
  const byOption = await findNats({ url: server.url, env: { NATS_URL: 'nats://127.0.0.1:1' } });
  expect(byOption.url).toBe(server.url);
});

test('of several addresses one that answers is enough', async () => {
  await using server = await startNatsServer();
  const found = await findNats({ url: `127.0.0.1:1,127.0.0.1:${server.port}` });
  expect(found.info.serverName).toBe(server.name);
});

test('a NATS_URL where nobody listens is an error with the server in it, not a fallback', async () => {
  const asking = findNats({ env: { ...process.env, NATS_URL: 'nats://ann:secret@127.0.0.1:1' } });
  await expect(asking).rejects.toMatchObject({
    code: 'transport.connect_timeout',
    message: expect.stringMatching(/^the NATS server 127\.0\.0\.1:1, set by NATS_URL, does not answer: .*ECONNREFUSED/),
    details: { server: '127.0.0.1:1' },
  });
  await expect(asking).rejects.not.toThrow('secret');
});

test('a server that is silent, and one that speaks something else, do not answer', async () => {
  const silent = createServer().listen(0, '127.0.0.1');
  const other = createServer((socket) => socket.end('220 mail.example\r\n')).listen(0, '127.0.0.1');
  await Promise.all([once(silent, 'listening'), once(other, 'listening')]);
  const url = (server: typeof silent): string => `127.0.0.1:${(server.address() as AddressInfo).port}`;
  await expect(findNats({ url: url(silent), answerTimeoutMs: 50 })).rejects.toThrow('no INFO line within 50 ms');
  await expect(findNats({ url: url(other) })).rejects.toThrow('what answers there is not a NATS server');
  silent.close();
  other.close();
});

test('an address that is none is refused by the name of its setting', async () => {
  await expect(findNats({ env: { NATS_URL: 'http://one:80' } })).rejects.toMatchObject({
    code: 'options.invalid',
    message: expect.stringContaining('NATS_URL cannot be used'),
  });
});

test.skipIf(onPath === undefined)('nats-server on the PATH is started with JetStream and stopped again (it must be there)', async () => {
  const found = await findNats({ env: { PATH: process.env['PATH'] } });
  expect(found).toMatchObject({ source: 'path', program: onPath, info: { jetstream: true } });
  const address = parseNatsUrls(found.url)[0]!;
  expect((await readServerInfo(address, 1_000)).serverName).toBe(found.info.serverName);
  await found.stop();
  await found.stop();
  await expect(readServerInfo(address, 1_000)).rejects.toThrow('ECONNREFUSED');
});

test.skipIf(!hasApt)('a copy from the archive is started (needs apt-get)', async () => {
  await using found = await findNats({ env: {}, ways: ['archive', 'container'] });
  expect(found).toMatchObject({ source: 'archive', info: { jetstream: true } });
  expect(found.program).toContain(join('.cache', 'nats-server'));
});

test('when nothing works, the error lists each way with its reason and tells what to do', async () => {
  vi.stubEnv('PATH', '/no/such/folder');
  const cacheDir = await mkdtemp(join(tmpdir(), 'perkey-cache-'));
  const asking = findNats({ env: { DOCKER_HOST: 'unix:///no/such.sock' }, ways: ['archive', 'container'], cacheDir });
  await expect(asking).rejects.toMatchObject({ code: 'nats_server.not_found' });
  await expect(asking).rejects.toThrow(
    /NATS_URL: not set\n +archive: .*no apt-get.*\n +container: .*no\/such\.sock does not answer.*\nInstall nats-server/,
  );
  await rm(cacheDir, { recursive: true });
});

test('a server that was found ends with the process that found it, even by SIGKILL', async () => {
  const code = `
    import { findNats } from '@perkey/nats/dev';
    const found = await findNats();
    console.log(found.url);
    setInterval(() => {}, 1000);`;
  const env = { ...process.env, NATS_URL: '' };
  const user = spawn(process.execPath, ['--conditions=@perkey/source', '--input-type=module', '-e', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env,
  });
  const [url] = (await once(user.stdout, 'data')) as [Buffer];
  const socket = connect(parseNatsUrls(String(url).trim())[0]!);
  await once(socket, 'data');
  const gone = once(socket, 'close');
  user.kill('SIGKILL');
  await gone;
});
