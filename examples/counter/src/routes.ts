import type { CallOptions, Client } from '@perkey/core';
import type { FastifyInstance } from 'fastify';
import type { IncomingHttpHeaders } from 'node:http';
import { Counter } from './contract.ts';
import { sendJson, sendProblem } from './http-server.ts';
import { notFound, Problem } from './problem.ts';

type ById = { Params: { id: string } };

/** The HTTP API. `client` reaches the counters, wherever they are. */
export function addRoutes(app: FastifyInstance, client: Client): void {
  app.post<ById>('/counter/:id/increment', ({ params, body, headers }, reply) => {
    const counter = client.actor(Counter, existing(params.id));
    sendJson(reply, counter.increment(increase(body), callOptions(headers, headers['idempotency-key'])));
  });
  app.get<ById>('/counter/:id', ({ params, headers }, reply) => {
    sendJson(reply, client.actor(Counter, existing(params.id)).get(callOptions(headers)));
  });
  app.get('/', (request, reply) => reply.type('text/plain; charset=utf-8').send(help(request.socket.localPort)));
  app.get('/health', (_request, reply) => {
    const checks = look(client);
    if (checks.connection.ok && checks.shards.ok) return reply.send({ status: 'ok', checks });
    const detail = 'Not every shard has an owner that can be reached.';
    return sendProblem(reply, new Problem(503, 'http.unhealthy', 'no', detail, { more: { checks } }));
  });

  allowOnly(app, ['POST'], ['/counter/:id/increment']);
  allowOnly(app, ['GET', 'HEAD'], ['/counter/:id', '/', '/health']);
}

/** The three things to try. */
export function examples(port: number | undefined): readonly string[] {
  const counter = `http://localhost:${port}/counter/my-counter`;
  return [`curl -X POST ${counter}/increment`, `curl -X POST ${counter}/increment -d '{"amount": 5}'`, `curl ${counter}`];
}

function help(port: number | undefined): string {
  return ['A distributed counter on Perkey: one actor for each id.', '', ...examples(port), ''].join('\n');
}

function look(client: Client) {
  const { connected, shards, reachable } = client.reachability();
  return {
    connection: { ok: connected, saw: connected ? 'connected' : 'not connected' },
    shards: { ok: shards > 0 && reachable === shards, saw: `${reachable} of ${shards} have an owner` },
  };
}

/** The router takes `/counter/` for a counter without a name. */
function existing(id: string): string {
  if (id === '') throw notFound();
  return id;
}

const one = Object.freeze({});

/** What a body asks for; the check of the amount is the contract's, on the node. */
function increase(body: unknown): { readonly amount?: number } {
  if (body === undefined || body === '') return one;
  const value = fromJson(body as string);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Problem(400, 'input.invalid', 'no', 'The body is not a JSON object.');
  }
  const { amount } = value as { readonly amount?: number };
  return amount === undefined ? one : { amount };
}

function fromJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Problem(400, 'http.body_not_json', 'no', 'The body is not JSON.');
  }
}

const timeoutMsDefault = 5_000;
const timeoutMsMax = 60_000;
const usual: CallOptions = Object.freeze({ timeoutMs: timeoutMsDefault });
const traceparentForm = /^[\da-f]{2}-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}(-|$)/;

function callOptions(headers: IncomingHttpHeaders, idempotencyKey?: string | string[]): CallOptions {
  const { 'x-request-timeout-ms': timeout, traceparent } = headers;
  if (timeout === undefined && traceparent === undefined && idempotencyKey === undefined) return usual;
  return {
    timeoutMs: timeout === undefined ? timeoutMsDefault : timeoutMs(String(timeout)),
    idempotencyKey: idempotencyKey === undefined ? undefined : checkedKey(String(idempotencyKey)),
    headers: typeof traceparent === 'string' && traceparentForm.test(traceparent) ? { traceparent } : undefined,
  };
}

/** A longer timeout is cut to the longest. */
function timeoutMs(text: string): number {
  if (!/^0*[1-9]\d{0,8}$/.test(text)) {
    throw new Problem(400, 'http.bad_header', 'no', 'X-Request-Timeout-Ms is not a positive integer of milliseconds.');
  }
  return Math.min(Number(text), timeoutMsMax);
}

function checkedKey(key: string): string {
  if (key.length > 0 && key.length <= 256) return key;
  throw new Problem(400, 'http.bad_header', 'no', 'Idempotency-Key is not a text of 1 to 256 characters.');
}

function allowOnly(app: FastifyInstance, allowed: readonly string[], paths: readonly string[]): void {
  const method = app.supportedMethods.filter((name) => !allowed.includes(name));
  const problem = new Problem(405, 'http.method_not_allowed', 'no', 'The path is there, but not for this method.', {
    headers: { allow: allowed.join(', ') },
  });
  for (const url of paths) {
    app.route<{ Params: { id?: string } }>({
      method,
      url,
      handler: ({ params }, reply) => sendProblem(reply, params.id === '' ? notFound() : problem),
    });
  }
}
