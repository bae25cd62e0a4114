import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ListenOptions {
  /** 0 takes a free one. */
  readonly port: number;
  /** Default 127.0.0.1: metrics are not for everybody. */
  readonly host?: string;
}

export interface MetricsServer extends AsyncDisposable {
  readonly port: number;
  /** Takes no more connections and waits for the scrapes under way, a few seconds at most. Idempotent. */
  close(): Promise<void>;
}

export interface Scrape {
  text(): Promise<string>;
  contentType(): string;
  /** How long `text` may take. */
  readonly waitMs: number;
}

const plainText = 'text/plain; charset=utf-8';
const headersTimeoutMs = 5_000;
const requestTimeoutMs = 10_000;
const flushTimeoutMs = 1_000;
const connectionsMax = 64;

export async function listenForScrapes(scrape: Scrape, { port, host = '127.0.0.1' }: ListenOptions): Promise<MetricsServer> {
  const underWay = new Set<ServerResponse>();
  const server = createServer(
    { headersTimeout: headersTimeoutMs, requestTimeout: requestTimeoutMs, connectionsCheckingInterval: 1_000, maxHeaderSize: 8_192 },
    (request, response) => {
      underWay.add(response);
      response.once('close', () => underWay.delete(response));
      void answer(scrape, request, response);
    },
  );
  server.maxConnections = connectionsMax;
  server.setTimeout(scrape.waitMs + requestTimeoutMs);
  await startListening(server, port, host);
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => (closing ??= shutDown(server, underWay, scrape.waitMs + flushTimeoutMs));
  return { port: (server.address() as AddressInfo).port, close, [Symbol.asyncDispose]: close };
}

async function answer(scrape: Scrape, request: IncomingMessage, response: ServerResponse): Promise<void> {
  // One request a connection: a scrape is rare, and nothing is then left open when the server stops.
  response.setHeader('Connection', 'close');
  const path = request.url?.split('?', 1)[0];
  if (path !== '/metrics') return finish(response, 404, plainText, 'not found: the metrics are at /metrics\n');
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD');
    return finish(response, 405, plainText, 'only GET and HEAD are allowed\n');
  }
  try {
    finish(response, 200, scrape.contentType(), await scrape.text());
  } catch {
    finish(response, 500, plainText, 'the metrics could not be written\n');
  }
}

function finish(response: ServerResponse, status: number, contentType: string, body: string): void {
  response.writeHead(status, { 'Content-Type': contentType, 'Content-Length': Buffer.byteLength(body), 'Cache-Control': 'no-store' });
  response.end(body);
}

async function startListening(server: Server, port: number, host: string): Promise<void> {
  const where = `${host}:${port}`;
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ port, host, exclusive: true }, () => {
        server.off('error', reject);
        // A connection that could not be accepted (no more file descriptors) costs one scrape, not the process.
        server.on('error', () => {});
        resolve();
      });
    });
  } catch (cause) {
    const taken = (cause as NodeJS.ErrnoException).code === 'EADDRINUSE';
    const reason = taken ? `port ${port} is already in use` : (cause as Error).message;
    throw new Error(`the metrics server cannot listen on ${where}: ${reason}`, { cause });
  }
}

async function shutDown(server: Server, underWay: ReadonlySet<ServerResponse>, waitMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const cutOff = (): void => server.closeAllConnections();
  const limit = setTimeout(cutOff, waitMs);
  await Promise.all(Array.from(underWay, (response) => new Promise((resolve) => response.once('close', resolve))));
  // What is still open never sent a request.
  cutOff();
  await closed;
  clearTimeout(limit);
}
