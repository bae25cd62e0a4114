import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect as connectPlain, createServer as createPlainServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { expect, test } from 'vitest';
import { resetSocket } from './dial.ts';

function selfSigned(): { readonly cert: string; readonly key: string } {
  const dir = mkdtempSync(join(tmpdir(), 'perkey-dial-'));
  const [certFile, keyFile] = [join(dir, 'cert.pem'), join(dir, 'key.pem')] as const;
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  execFileSync('openssl', ['req', '-x509', ...curve, '-days', '2', ...subject, '-keyout', keyFile, '-out', certFile], { stdio: 'ignore' });
  const made = { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') };
  rmSync(dir, { recursive: true });
  return made;
}

interface Ended {
  /** How many bytes the kernel of the sender still held for delivery after the reset; -1 where this cannot be seen. */
  readonly held: number;
  /** How the other side saw the end. */
  readonly how: string;
  readonly bytes: number;
}

const written = 10_000_000;

/** Writes more than the kernels take, resets, and tells what the other side has read of it by its end. */
async function resetWhileWriting(server: Server, ready: string, dialIt: (port: number) => Socket, restMs: number): Promise<Ended> {
  const { promise, resolve } = Promise.withResolvers<Omit<Ended, 'held'>>();
  server.on(ready === 'connect' ? 'connection' : 'secureConnection', (socket: Socket) => {
    let bytes = 0;
    socket.on('data', (data: Buffer) => {
      bytes += data.length;
    });
    socket.on('error', (error: Error & { code?: string }) => resolve({ how: error.code ?? error.message, bytes }));
    socket.on('end', () => resolve({ how: 'a clean end', bytes }));
    socket.pause();
    setTimeout(() => socket.resume(), restMs + 20);
  });
  server.on('tlsClientError', () => {});
  await new Promise<void>((done) => {
    server.listen(0, '127.0.0.1', done);
  });
  const socket = dialIt((server.address() as { port: number }).port);
  const closed = new Promise((done) => {
    socket.once('close', done);
  });
  await new Promise((done) => {
    socket.once(ready, done);
  });
  for (let i = 0; i < 100; i += 1) socket.write(Buffer.alloc(written / 100));
  if (restMs > 0) await new Promise((done) => setTimeout(done, restMs));
  const localPort = socket.localPort ?? 0;
  resetSocket(socket);
  expect(socket.destroyed).toBe(true);
  await closed;
  const held = bytesInKernel(localPort);
  resetSocket(socket);
  const ended = await promise.finally(() => server.close());
  return { ...ended, held };
}

/** What `/proc/net/tcp` shows as unsent of the sockets with this local port. */
function bytesInKernel(localPort: number): number {
  if (process.platform !== 'linux') return -1;
  const local = `:${localPort.toString(16).toUpperCase().padStart(4, '0')}`;
  const rows = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((row) => row.trim().split(/\s+/));
  const sockets = rows.filter(([, address]) => address?.endsWith(local) === true);
  return sockets.reduce((sum, [, , , , queues]) => sum + Number.parseInt(queues?.split(':')[0] ?? '', 16), 0);
}

test('a reset of a plain connection is a TCP reset', async () => {
  for (const restMs of [0, 20]) {
    const ended = await resetWhileWriting(createPlainServer(), 'connect', (port) => connectPlain({ port, host: '127.0.0.1' }), restMs);
    expect(ended.how).toBe('ECONNRESET');
    expect(ended.bytes).toBeLessThan(written);
    expect(ended.held).toBeLessThanOrEqual(0);
  }
});

test('a reset in the midst of writes over TLS delivers no more, and does not crash the process', async () => {
  const { cert, key } = selfSigned();
  const host = '127.0.0.1';
  const begunLater = (port: number): Socket => connectTls({ socket: connectPlain({ port, host }), ca: cert, host });
  const fromTheStart = (port: number): Socket => connectTls({ port, host, ca: cert });
  for (let round = 0; round < 6; round += 1) {
    for (const dialIt of [begunLater, fromTheStart]) {
      const ended = await resetWhileWriting(createTlsServer({ cert, key }), 'secureConnect', dialIt, round % 2 === 0 ? 0 : 10);
      expect(ended.bytes).toBeLessThan(written);
      expect(ended.held).toBeLessThanOrEqual(0);
    }
  }
});
