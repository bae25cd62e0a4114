import type { Client } from '@perkey/core';
import { allowOnly, bodyOf, callOptions, notFound, Problem, sendJson, sendProblem } from '@perkey/example-support/http';
import type { FastifyInstance } from 'fastify';
import { Counter } from './contract.ts';

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
  const { amount } = bodyOf(body) as { readonly amount?: number };
  return amount === undefined ? one : { amount };
}
