import type { Client } from '@perkey/core';
import { Account, formatMoney } from '@perkey/example-accounting/contract';
import { allowOnly, callOptions, notFound, Problem, sendProblem } from '@perkey/example-support/http';
import type { PrometheusExporter } from '@perkey/prometheus';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { amountOf, openingOf, pageOf } from './requests.ts';

type ById = { Params: { id: string } };

/** The HTTP API. It only sends: whatever is decided is decided where the account lives. */
export function addRoutes(app: FastifyInstance, client: Client, exporter: PrometheusExporter): void {
  const optionsOf = ({ headers }: FastifyRequest) => callOptions(headers, headers['idempotency-key']);

  app.post('/accounts', async (request, reply) => {
    const { id, owner, initialBalance } = openingOf(request.body);
    await client.actor(Account, id).open({ owner, initialBalance }, optionsOf(request));
    return reply.code(201).send({ account_id: id, status: 'created' });
  });
  app.post<ById>('/accounts/:id/deposit', async (request) => {
    const { id, amount } = { id: existing(request.params.id), amount: amountOf(request.body) };
    await client.actor(Account, id).deposit({ amount }, optionsOf(request));
    return { account_id: id, status: 'deposited', amount: formatMoney(amount) };
  });
  app.post<ById>('/accounts/:id/withdraw', async (request) => {
    const { id, amount } = { id: existing(request.params.id), amount: amountOf(request.body) };
    await client.actor(Account, id).withdraw({ amount }, optionsOf(request));
    return { account_id: id, status: 'withdrawn', amount: formatMoney(amount) };
  });
  app.post<ById>('/accounts/:id/close', async (request) => {
    const id = existing(request.params.id);
    await client.actor(Account, id).close(optionsOf(request));
    return { account_id: id, status: 'closed' };
  });
  app.get<ById>('/accounts/:id', async (request) => {
    const { owner, balance, ...rest } = await client.actor(Account, existing(request.params.id)).balance(callOptions(request.headers));
    return { ...rest, owner_name: owner, balance: formatMoney(balance) };
  });
  app.get<ById>('/accounts/:id/history', async (request) => {
    const id = existing(request.params.id);
    const { events, version } = await client.actor(Account, id).history(pageOf(request.query), callOptions(request.headers));
    const last = events.at(-1)?.version ?? version;
    return { account_id: id, version, events: events.map(shown), next_after: last < version ? last : null };
  });
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
  app.get('/metrics', async (_request, reply) => reply.type(exporter.contentType).send(await exporter.text()));

  allowOnly(app, ['POST'], ['/accounts', '/accounts/:id/deposit', '/accounts/:id/withdraw', '/accounts/:id/close']);
  allowOnly(app, ['GET', 'HEAD'], ['/accounts/:id', '/accounts/:id/history', '/health', '/metrics']);
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
