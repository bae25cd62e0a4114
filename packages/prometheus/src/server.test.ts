import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { prometheusExporter } from './index.ts';
import { listenForScrapes } from './server.ts';

const bare = { defaultMetrics: false, sourceTimeoutMs: 20 } as const;

interface Answer {
  readonly status: number | undefined;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
}

async function ask(port: number, path: string, method: string = 'GET', body: string = ''): Promise<Answer> {
  const outgoing = request({ host: '127.0.0.1', port, path, method, agent: false });
  outgoing.end(body);
  const [response] = (await once(outgoing, 'response')) as [import('node:http').IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return { status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks).toString() };
}

test('GET and HEAD /metrics', async () => {
  const exporter = prometheusExporter(bare);
  exporter.add(() => [{ name: 'perkey_up', help: 'Up: ✓', kind: 'gauge', series: [{ labels: {}, value: 1 }] }]);
  await using server = await exporter.listen({ port: 0 });
  const got = await ask(server.port, '/metrics?format=any');
  expect(got.status).toBe(200);
  expect(got.body).toContain('# HELP perkey_up Up: ✓\n');
  expect(got.body).toContain('\nperkey_up 1\n');
  expect(got.headers).toMatchObject({ 'content-type': exporter.contentType, 'content-length': String(Buffer.byteLength(got.body)) });
  const head = await ask(server.port, '/metrics', 'HEAD');
  expect(head).toMatchObject({ status: 200, body: '', headers: { 'content-length': got.headers['content-length'] } });
});

test('another path is 404, another method 405 with Allow', async () => {
  await using server = await prometheusExporter(bare).listen({ port: 0 });
  for (const path of ['/', '/metrics/', '/Metrics', '/../metrics', '//metrics']) expect((await ask(server.port, path)).status).toBe(404);
  for (const method of ['POST', 'DELETE', 'OPTIONS']) {
    expect(await ask(server.port, '/metrics', method, 'x')).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } });
  }
});

test('a scrape that cannot be written is 500 and tells nothing of the inside', async () => {
  const scrape = { text: () => Promise.reject(new Error('/secret/place')), contentType: () => 'text/plain', waitMs: 20 };
  await using server = await listenForScrapes(scrape, { port: 0 });
  expect(await ask(server.port, '/metrics')).toMatchObject({ status: 500, body: 'the metrics could not be written\n' });
});

test('a port that is taken is an error that names it', async () => {
  await using first = await prometheusExporter(bare).listen({ port: 0 });
  const second = prometheusExporter(bare).listen({ port: first.port });
  await expect(second).rejects.toThrow(`cannot listen on 127.0.0.1:${first.port}: port ${first.port} is already in use`);
  await expect(prometheusExporter(bare).listen({ port: 65_536 })).rejects.toThrow('cannot listen on 127.0.0.1:65536');
});

test('close is idempotent and waits neither for idle connections nor for half a request', async () => {
  const server = await prometheusExporter(bare).listen({ port: 0 });
  const idle = connect(server.port, '127.0.0.1');
  const half = connect(server.port, '127.0.0.1');
  const gone = [idle, half].map((socket) => once(socket.on('error', () => {}).resume(), 'close'));
  await Promise.all([once(idle, 'connect'), once(half, 'connect')]);
  half.write('GET /metrics HTTP/1.1\r\nHost: a\r\n');
  expect((await ask(server.port, '/metrics')).status).toBe(200);
  await Promise.all([server.close(), server.close()]);
  await Promise.all(gone);
  await expect(ask(server.port, '/metrics')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});

test('close lets a scrape under way end', async () => {
  let release: (text: string) => void = () => {};
  let entered: () => void = () => {};
  const begun = new Promise<void>((resolve) => (entered = resolve));
  const text = (): Promise<string> => {
    entered();
    return new Promise((resolve) => (release = resolve));
  };
  const server = await listenForScrapes({ text, contentType: () => 'text/plain', waitMs: 5_000 }, { port: 0 });
  const answer = ask(server.port, '/metrics');
  await begun;
  const closed = server.close();
  release('a 1\n');
  expect(await answer).toMatchObject({ status: 200, body: 'a 1\n' });
  await closed;
});
