import { Agent } from 'node:http';
import { connect as dial, type Socket } from 'node:net';
import { readFile } from 'node:fs/promises';
import { execFileSync } from 'node:child_process';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { DemoProcess } from './support/demo-process.ts';
import { send } from './support/http-load.ts';

let demo: DemoProcess;
const open: Socket[] = [];

beforeAll(async () => {
  demo = await DemoProcess.ready(['--nodes', '1', '--shards', '8', '--embedded']);
});
afterEach(() => {
  for (const socket of open.splice(0)) socket.destroy();
});
afterAll(() => demo[Symbol.asyncDispose]());

interface Peer {
  readonly socket: Socket;
  readonly got: () => string;
  readonly closed: Promise<number>;
}

/** One connection; `closed` tells how long it lived, in ms. */
function peer(): Peer {
  const socket = dial(Number(new URL(demo.url).port), '127.0.0.1');
  const since = performance.now();
  let text = '';
  open.push(socket);
  socket.on('error', () => undefined);
  socket.setEncoding('utf8').on('data', (part: string) => (text += part));
  return { socket, got: () => text, closed: new Promise((resolve) => socket.once('close', () => resolve(performance.now() - since))) };
}

async function served(): Promise<number> {
  const since = performance.now();
  const answer = await send(demo.url, { path: '/counter/honest' }, new Agent({ keepAlive: false }));
  expect(answer.status).toBe(200);
  return performance.now() - since;
}

async function residentMb(): Promise<number> {
  const status = await readFile(`/proc/${demo.pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / 1_024;
}

const problemIn = (text: string): unknown => JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4));

test('a URL that is too long, and too many headers, are refused before anything is looked at', async () => {
  for (const path of [`/counter/a?${'x'.repeat(2_040)}`, `/${'x'.repeat(3_000)}`]) {
    const answer = await send(demo.url, { path });
    expect([answer.status, JSON.parse(answer.body)]).toMatchObject([414, { code: 'http.url_too_long', executed: 'no' }]);
  }
  const headers = (count: number): Record<string, string> => Object.fromEntries(Array.from({ length: count }, (_, i) => [`x-${i}`, 'y']));
  const post = { method: 'POST', path: '/counter/headers/increment', body: '{"amount": 2}' };
  const refused = await send(demo.url, { ...post, headers: headers(150) });
  expect([refused.status, JSON.parse(refused.body)]).toMatchObject([431, { code: 'http.bad_request', executed: 'no' }]);
  expect((await send(demo.url, { ...post, headers: headers(90) })).body).toContain('"value":2');
});

test('a connection serves as many requests as its client sends, also to one that does not look whether it should close', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const statuses = new Set<number>();
  for (let i = 0; i < 1_200; i += 1) statuses.add((await send(demo.url, { path: '/counter/long' }, agent)).status);
  agent.destroy();
  const long = peer();
  const request = 'GET /counter/long HTTP/1.1\r\nHost: x\r\n\r\n';
  const answered = (): number => long.got().split('HTTP/1.1 ').length - 1;
  for (let sent = 0; sent < 1_200; sent += 100) {
    long.socket.write(request.repeat(100));
    await expect.poll(answered).toBe(sent + 100);
  }
  expect([[...statuses], long.got().includes('HTTP/1.1 503')]).toEqual([[200], false]);
});

test('headers of 17 kB are refused, and so are two lengths, and lengths that lie', async () => {
  const big = peer();
  big.socket.write(`GET /counter/a HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(17_000)}\r\n\r\n`);
  await big.closed;
  expect(big.got()).toMatch(/^HTTP\/1\.1 431 /);
  for (const lengths of ['Content-Length: 5\r\nContent-Length: 6', 'Content-Length: 1e3', 'Content-Length: -1', 'Content-Length: 0x10']) {
    const odd = peer();
    odd.socket.write(`POST /counter/odd/increment HTTP/1.1\r\nHost: x\r\n${lengths}\r\n\r\n{"amount":1}`);
    await odd.closed;
    expect([lengths, odd.got()]).toEqual([lengths, expect.stringMatching(/^HTTP\/1\.1 400 /)]);
  }
  expect((await send(demo.url, { path: '/counter/odd' })).body).toContain('"value":0');
});

test('headers and bodies that trickle are cut off in time, while others are served', { timeout: 60_000 }, async () => {
  const slow = [
    ['headers', peer(), 'GET /counter/slow HTTP/1.1\r\nHost: x\r\nX: '],
    ['nothing at all', peer(), ''],
    ['a body', peer(), 'POST /counter/slow/increment HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n{"amount": '],
    ['chunks', peer(), 'POST /counter/slow/increment HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ] as const;
  for (const [, { socket }, start] of slow) socket.write(start);
  const trickling = setInterval(() => {
    for (const [name, { socket }] of slow)
      if (name !== 'nothing at all' && socket.writable) socket.write(name === 'chunks' ? '1\r\n \r\n' : ' ');
  }, 200);
  const lived = await Promise.all(slow.map(async ([name, { closed, got }]) => [name, Math.ceil((await closed) / 1_000), got()] as const));
  clearInterval(trickling);
  for (const [name, seconds, text] of lived) {
    expect([name, seconds <= (name === 'a body' || name === 'chunks' ? 19 : 14)]).toEqual([name, true]);
    expect([name, text]).toEqual([name, expect.stringMatching(/^HTTP\/1\.1 408 /)]);
    expect(problemIn(text)).toMatchObject({ status: 408, executed: 'no' });
  }
  expect(await served()).toBeLessThan(1_000);
  expect((await send(demo.url, { path: '/counter/slow' })).body).toContain('"value":0');
});

const filesMax = Number(execFileSync('sh', ['-c', 'ulimit -n']).toString().replace('unlimited', '1000000'));
test.skipIf(filesMax < 11_000)('10,000 idle connections keep nobody out (needs 11,000 file descriptors)', { timeout: 60_000 }, async () => {
  await served();
  const before = await residentMb();
  const idle: Peer[] = [];
  for (let i = 0; i < 10_000; i += 1) {
    idle.push(peer());
    if (i % 250 === 249) await new Promise((resolve) => idle.at(-1)?.socket.once('connect', resolve));
  }
  expect(await served()).toBeLessThan(1_000);
  expect(await residentMb()).toBeLessThan(before + 200);
  // Ones that have been used are no better: they make room when it is needed.
  const used = idle.filter(({ socket }) => !socket.destroyed && socket.writable).slice(0, 1_000);
  for (const { socket } of used) socket.write('GET /counter/idle HTTP/1.1\r\nHost: x\r\n\r\n');
  await expect.poll(() => used.filter(({ got }) => got().includes('200 OK')).length, { timeout: 10_000 }).toBeGreaterThan(900);
  expect(await served()).toBeLessThan(1_000);
});

test(
  '10,001 connections that were used and are idle keep nobody out (needs 11,000 file descriptors)',
  { timeout: 60_000, skip: filesMax < 11_000 },
  async () => {
    const idle: Peer[] = [];
    for (let i = 0; i < 10_001; i += 1) {
      const one = peer();
      one.socket.write('GET /counter/idle HTTP/1.1\r\nHost: x\r\n\r\n');
      idle.push(one);
      if (i % 250 === 249) await expect.poll(() => one.got() !== '' || one.socket.destroyed, { interval: 2, timeout: 10_000 }).toBe(true);
    }
    await expect.poll(() => served().catch(() => Infinity), { timeout: 15_000 }).toBeLessThan(1_000);
  },
);
