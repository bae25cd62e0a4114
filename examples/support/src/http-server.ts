import { safeText } from '@perkey/core';
import fastify, { type FastifyInstance, type FastifyReply } from 'fastify';
import { createServer, type IncomingMessage, METHODS, type Server, type ServerOptions, type ServerResponse, STATUS_CODES } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Logger } from 'pino';
import { notFound, Problem, type ProblemOf, problemOf } from './problem.ts';

const bodyBytesMax = 65_536;
const urlCharsMax = 2_048;
const connectionsMax = 10_000;
/** Connections that have not sent a whole request yet; beyond it the oldest goes. */
const unusedMax = 2_000;
const serverOptions: ServerOptions = {
  headersTimeout: 10_000,
  requestTimeout: 15_000,
  keepAliveTimeout: 30_000,
  connectionsCheckingInterval: 2_000,
  maxHeaderSize: 16_384,
};
const usualMethods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'];

/** A server without routes, with every limit set. Errors of any kind are answered as problems; `own` makes those of a program's own contracts. */
export function createHttpServer(log: Logger, own?: ProblemOf): FastifyInstance {
  const app = fastify({
    // Keys are checked by the nodes; Node itself bounds the whole request line and headers.
    routerOptions: { maxParamLength: 16_384 },
    bodyLimit: bodyBytesMax,
    return503OnClosing: false,
    serverFactory: limitedServer,
    frameworkErrors: (error, _request, reply) => void sendProblem(reply, problemOf(error)),
    clientErrorHandler: answerMalformed,
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body));
  app.setErrorHandler((error, _request, reply) => {
    const problem = problemOf(error, own);
    if (problem.status === 500) log.error({ err: error, code: problem.code }, 'a request failed');
    return sendProblem(reply, problem);
  });
  app.setNotFoundHandler((_request, reply) => sendProblem(reply, notFound()));
  // Whatever Node's parser lets through can be answered with 405.
  for (const method of METHODS) {
    if (!usualMethods.includes(method)) app.addHttpMethod(method, { hasBody: false, overrideExisting: true });
  }
  if (log.isLevelEnabled('debug')) logRequests(app, log);
  return app;
}

/** The port that it listens on. Rejects with an error that names the port where it is taken. */
export async function listen(app: FastifyInstance, host: string, port: number, log: Logger): Promise<number> {
  try {
    await app.listen({ host, port });
  } catch (cause) {
    const taken = (cause as NodeJS.ErrnoException).code === 'EADDRINUSE';
    const reason = taken ? `port ${port} is already in use` : (cause as Error).message;
    throw new Error(`the HTTP server cannot listen on ${host}:${port}: ${reason}`, { cause });
  }
  // No more file descriptors: that costs a connection, not the process.
  app.server.on('error', (error) => log.error({ err: error }, 'a connection could not be accepted'));
  return (app.server.address() as AddressInfo).port;
}

/** Answers what is under way, for `limitMs` at most; idle connections are closed at once. */
export async function closeHttpServer(app: FastifyInstance, limitMs = 1_000): Promise<void> {
  const limit = setTimeout(() => app.server.closeAllConnections(), limitMs);
  await app.close();
  clearTimeout(limit);
}

/** Answers 200 as soon as `value` is there: without the hooks and serializers of the library, which are a tenth of the cost of a request. */
export function sendJson(reply: FastifyReply, value: Promise<unknown>): void {
  value.then(
    (result) => {
      const text = JSON.stringify(result);
      reply.raw.writeHead(200, ['content-type', 'application/json; charset=utf-8', 'content-length', String(Buffer.byteLength(text))]);
      reply.raw.end(text);
    },
    (error: unknown) => void reply.send(error),
  );
}

export function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  return reply.code(problem.status).headers(problem.headers).type('application/problem+json').send(problem.body);
}

function limitedServer(handle: (request: IncomingMessage, response: ServerResponse) => void): Server {
  const unused = new Set<Socket>();
  const server = createServer(serverOptions, (request, response) => {
    unused.delete(request.socket);
    if ((request.url ?? '').length > urlCharsMax) {
      refuseUrl(response);
      return;
    }
    // The type of a body is not looked at, and a `#` that a client left unescaped is part of the id.
    if (request.headers['content-type'] !== undefined) request.headers['content-type'] = undefined;
    if (request.url?.includes('#')) request.url = request.url.replaceAll('#', '%23');
    handle(request, response);
  });
  server.maxConnections = connectionsMax;
  server.maxHeadersCount = 100;
  server.on('connection', (socket: Socket) => {
    unused.add(socket);
    socket.once('close', () => unused.delete(socket));
    if (unused.size > unusedMax) oldest(unused)?.destroy();
  });
  // Nobody keeps others out by holding on to connections.
  server.on('drop', () => server.closeIdleConnections());
  return server;
}

function oldest(sockets: ReadonlySet<Socket>): Socket | undefined {
  for (const socket of sockets) return socket;
  return undefined;
}

/** Before anything of it is looked at; its body is not read. */
function refuseUrl(response: ServerResponse): void {
  const text = `The path and query are longer than ${urlCharsMax} characters.`;
  const { status, body } = new Problem(414, 'http.url_too_long', 'no', text);
  const length = String(Buffer.byteLength(body));
  response.writeHead(status, ['content-type', 'application/problem+json; charset=utf-8', 'content-length', length, 'connection', 'close']);
  response.end(body);
}

/** What the parser of HTTP refuses never becomes a request. */
function answerMalformed(error: Error & { readonly code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const status = { HPE_HEADER_OVERFLOW: 431, ERR_HTTP_REQUEST_TIMEOUT: 408 }[error.code ?? ''] ?? 400;
  const { body } = new Problem(status, 'http.bad_request', 'no', 'The request is not well-formed HTTP, too large or too slow.');
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\ncontent-type: application/problem+json; charset=utf-8\r\nconnection: close`;
  socket.end(`${head}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}

function logRequests(app: FastifyInstance, log: Logger): void {
  app.addHook('onResponse', (request, reply, done) => {
    const { method, url } = request;
    log.debug({ method, url: safeText(url), status: reply.statusCode, durationMs: reply.elapsedTime }, 'request');
    done();
  });
}
