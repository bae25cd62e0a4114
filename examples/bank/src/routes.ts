import type { CallOptions, Client } from '@perkey/core';
import { Account, formatMoney } from '@perkey/example-accounting/contract';
import { allowOnly, callOptions, notFound, Problem, sendProblem } from '@perkey/example-support/http';
import type { PrometheusExporter } from '@perkey/prometheus';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { amountOf, openingOf, pageOf } from './requests.ts';

type ById = { Params: { id: string } };

/** The HTTP API. It only sends: whatever is decided is decided where the account lives. */
export function addRoutes(app: FastifyInstance, client: Client, exporter: PrometheusExporter): void {
  app.post('/accounts', (request, reply) => opened(client, request, reply));
  app.post<ById>('/accounts/:id/deposit', (request) => moved(client, request, 'deposit', 'deposited'));
  app.post<ById>('/accounts/:id/withdraw', (request) => moved(client, request, 'withdraw', 'withdrawn'));
  app.post<ById>('/accounts/:id/close', (request) => closed(client, request));
  app.get<ById>('/accounts/:id', (request) => balanceOf(client, request));
  app.get<ById>('/accounts/:id/history', (request) => historyOf(client, request));
  app.get('/health', (_request, reply) => {
    const { connected, shards, reachable } = client.reachability();
    const checks = {
      connection: { ok: connected, saw: connected ? 'connected' : 'not connected' },
      handlers: { ok: shards > 0 && reachable === shards, saw: `${reachable} of ${shards} shards have an owner` },
    };
    // A gateway is not taken out of service because a handler is away: the accounts of the others go on.
    if (connected) return reply.send({ status: checks.handlers.ok ? 'ok' : 'degraded', checks });
    return sendProblem(reply, new Problem(503, 'http.unhealthy', 'no', 'The gateway is not connected to NATS.', { more: { checks } }));
  });
  app.get('/metrics', (_request, reply) => {
    void reply.type(exporter.contentType);
    return exporter.text();
  });

  allowOnly(app, ['POST'], ['/accounts', '/accounts/:id/deposit', '/accounts/:id/withdraw', '/accounts/:id/close']);
  allowOnly(app, ['GET', 'HEAD'], ['/accounts/:id', '/accounts/:id/history', '/health', '/metrics']);
}

type Request = FastifyRequest<ById>;

const optionsOf = ({ headers }: Pick<FastifyRequest, 'headers'>): CallOptions => callOptions(headers, headers['idempotency-key']);

async function opened(client: Client, request: FastifyRequest, reply: FastifyReply): Promise<object> {
  const { id, owner, initialBalance } = openingOf(request.body);
  await client.actor(Account, id).open({ owner, initialBalance }, optionsOf(request));
  void reply.code(201);
  return { account_id: id, status: 'created' };
}

async function moved(client: Client, request: Request, move: 'deposit' | 'withdraw', status: string): Promise<object> {
  const id = existing(request.params.id);
  const { amount } = await client.actor(Account, id)[move]({ amount: amountOf(request.body) }, optionsOf(request));
  return { account_id: id, status, amount: formatMoney(amount) };
}

async function closed(client: Client, request: Request): Promise<object> {
  const id = existing(request.params.id);
  await client.actor(Account, id).close(optionsOf(request));
  return { account_id: id, status: 'closed' };
}

async function balanceOf(client: Client, { params, headers }: Request): Promise<object> {
  const { owner, balance, ...rest } = await client.actor(Account, existing(params.id)).balance(callOptions(headers));
  return { ...rest, owner_name: owner, balance: formatMoney(balance) };
}

async function historyOf(client: Client, { params, query, headers }: Request): Promise<object> {
  const id = existing(params.id);
  const { events, version } = await client.actor(Account, id).history(pageOf(query), callOptions(headers));
  const last = events.at(-1)?.version ?? version;
  return { account_id: id, version, events: events.map(shown), next_after: last < version ? last : null };
}

/** The router takes `/accounts/` for an account without an id. */
function existing(id: string): string {
  if (id === '') throw notFound();
  return id;
}

/** An event as JSON: amounts as decimals, names as everywhere in this API. */
function shown({ version, event, at, data }: { version: number; event: string; at: number; data: Record<string, unknown> }): object {
  const fields = Object.entries(data).map(([name, value]) => [
    name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    typeof value === 'bigint' ? formatMoney(value) : value,
  ]);
  return { version, event, at: new Date(at).toISOString(), ...Object.fromEntries(fields) };
}
