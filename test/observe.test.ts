import { connect as natsConnect, headers, type Msg, type NatsConnection } from '@nats-io/transport-node';
import { type Client, connect, defineActor, type Metrics, type Node, startNode } from '@perkey/core';
import { nats } from '@perkey/nats';
import { startNatsServer } from '@perkey/nats/dev';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { testServers } from './support/newest-server.ts';

const Tally = defineActor('tally', {
  add: { input: z.object({ amount: z.number().int().default(1) }), output: z.number() },
  get: { output: z.number(), readonly: true },
  wait: {},
});
const Echo = defineActor('echo', {
  headers: { output: z.record(z.string(), z.string()) },
  /** The headers that another actor sees when this one calls it. */
  relay: { input: z.object({ to: z.string() }), output: z.record(z.string(), z.string()) },
});

const cluster = 'observed';
const shards = 256;
const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

const parse = (message: Msg): unknown => message.json();
const byId = (a: { id?: unknown }, b: { id?: unknown }): number => String(a.id).localeCompare(String(b.id));

describe.each(await testServers())('$name', ({ binary }) => {
  let server: Awaited<ReturnType<typeof startNatsServer>>;
  let nodes: readonly Node[];
  let client: Client;
  let raw: NatsConnection;
  let release: () => void;

  beforeAll(async () => {
    server = await startNatsServer({ binary });
    const { promise: released, resolve } = Promise.withResolvers<void>();
    release = resolve;
    const tally = Tally.host({
      state: () => ({ value: 0 }),
      add: (ctx, { amount }) => (ctx.state.value += amount),
      get: (ctx) => ctx.state.value,
      wait: () => released,
    });
    const echo = Echo.host({
      state: () => ({}),
      headers: (ctx) => ({ ...ctx.headers }),
      relay: (ctx, { to }) => ctx.actor(Echo, to).headers(),
    });
    const start = (nodeId: string): Promise<Node> =>
      startNode({ cluster, nodeId, shards, transport: nats({ servers: server.url }), actors: [tally, echo] });
    nodes = await Promise.all([start('n1'), start('n2')]);
    client = await connect({ cluster, transport: nats({ servers: server.url }) });
    raw = await natsConnect({ servers: server.url, reconnect: false });
    const settled = (): void => expect(nodes.map((node) => node.inspect()?.shardsOwned)).toEqual([shards / 2, shards / 2]);
    await vi.waitFor(settled, { timeout: 10_000 });
  });
  afterAll(async () => {
    release();
    await raw.close();
    await client.close();
    await Promise.all(nodes.map((node) => node.stop()));
    await server.stop();
  });

  /** All answers to one question, as the `nats micro` commands gather them. */
  async function askAll(subject: string): Promise<readonly Record<string, unknown>[]> {
    const answers: Record<string, unknown>[] = [];
    const options = { strategy: 'stall', maxWait: 2_000, stall: 150 } as never;
    for await (const answer of await raw.requestMany(subject, '', options)) answers.push(parse(answer) as Record<string, unknown>);
    return answers.toSorted(byId);
  }

  function call(target: string, body: string, marks: Readonly<Record<string, string>> = {}): Promise<Msg> {
    const sent = headers();
    for (const [name, value] of Object.entries(marks)) sent.set(name, value);
    return raw.request(`perkey.${cluster}.call.${target}`, body, { headers: sent, timeout: 5_000 });
  }

  test('`nats micro` lists the nodes, what they host, and how it goes', async () => {
    const identity = (id: string, kind: string): object => ({ type: `io.nats.micro.v1.${kind}_response`, name: `perkey-${cluster}`, id });
    expect(await askAll('$SRV.PING')).toMatchObject([identity('n1', 'ping'), identity('n2', 'ping')]);
    expect(await askAll(`$SRV.PING.perkey-${cluster}.n2`)).toMatchObject([identity('n2', 'ping')]);
    const infos = await askAll(`$SRV.INFO.perkey-${cluster}`);
    expect(infos).toMatchObject([identity('n1', 'info'), identity('n2', 'info')]);
    const methods = ['tally.add', 'tally.get', 'tally.wait', 'echo.headers', 'echo.relay'];
    for (const { endpoints } of infos as unknown as readonly { endpoints: readonly { subject: string }[] }[]) {
      expect(endpoints.map(({ subject }) => subject)).toEqual(methods.map((method) => `perkey.${cluster}.call.${method}`));
    }
    for (let i = 0; i < 40; i += 1)
      await call('tally.add', JSON.stringify({ key: `stats-${i}`, input: i % 4 === 0 ? { amount: 'x' } : {} }));
    const stats = (await askAll('$SRV.STATS')) as unknown as readonly { endpoints: readonly Record<string, unknown>[] }[];
    expect(stats).toMatchObject([identity('n1', 'stats'), identity('n2', 'stats')]);
    const add = stats.map(
      ({ endpoints }) => endpoints[0] as { num_requests: number; num_errors: number; last_error: string; processing_time: number },
    );
    expect(add.reduce((sum, one) => sum + one.num_requests, 0)).toBe(40);
    expect(add.reduce((sum, one) => sum + one.num_errors, 0)).toBe(10);
    for (const one of add) {
      if (one.num_errors > 0) expect(one.last_error).toBe('input.invalid (executed: no)');
      expect(one.processing_time > 0).toBe(one.num_requests > 0);
    }
  });

  test('any NATS client calls any actor in JSON, whichever node takes the call, and sees what all other callers see', async () => {
    const keys = Array.from({ length: 32 }, (_, i) => `json key ${i} ä`);
    const owners = new Set<boolean>();
    for (const [i, key] of keys.entries()) {
      expect(parse(await call('tally.add', '{"amount":5}', { 'Perkey-Key': encodeURIComponent(key) }))).toBe(5);
      expect(parse(await call('tally.add', JSON.stringify({ key })))).toBe(6);
      expect(await client.actor(Tally, key).add({ amount: i })).toBe(6 + i);
      expect(parse(await call('tally.get', '', { 'Perkey-Key': encodeURIComponent(key) }))).toBe(6 + i);
      owners.add(nodes[0]?.control(Tally, key) !== undefined);
    }
    expect(owners).toEqual(new Set([true, false]));
    const once = { 'Idempotency-Key': 'order-1' };
    const answers = [await call('tally.add', '{"key":"idem"}', once), await call('tally.add', '{"key":"idem"}', once)];
    expect(answers.map(parse)).toEqual([1, 1]);
    expect(await client.actor(Tally, 'idem').get()).toBe(1);
    const late = await call('tally.wait', '{"key":"slow"}', { 'Perkey-Timeout-Ms': '100' });
    expect([late.headers?.get('Perkey-Error-Code'), late.headers?.get('Perkey-Executed')]).toEqual(['deadline.exceeded', 'unknown']);
    raw.publish(`perkey.${cluster}.call.tally.add`, '{"key":"one way","input":{"amount":7}}');
    await expect.poll(() => client.actor(Tally, 'one way').get()).toBe(7);
  });

  test('the trace context of a caller reaches the handler, and the actors that it calls', async () => {
    const traced = { traceparent: trace, tracestate: 'vendor=1' };
    const keys = Array.from({ length: 16 }, (_, i) => `traced-${i}`);
    for (const key of keys) {
      expect(await client.actor(Echo, key).headers({ headers: traced })).toEqual(traced);
      expect(await client.actor(Echo, key).relay({ to: `${key}-next` }, { headers: traced })).toEqual(traced);
      expect(await nodes[0]?.actor(Echo, key).headers({ headers: traced })).toEqual(traced);
      const marks = { ...traced, 'Perkey-Key': key, 'X-Other': 'not taken' };
      expect(parse(await call('echo.headers', '', marks))).toEqual(traced);
      expect(parse(await call('echo.relay', JSON.stringify({ to: `${key}-json` }), marks))).toEqual(traced);
      expect(await client.actor(Echo, key).headers()).toEqual({});
    }
  });

  test('a node tells what it owns, whom it sees, and what waits where', async () => {
    const resident = (node: Node): number => node.inspect()?.actors.residentByType['tally'] ?? 0;
    const before = nodes.map(resident);
    const keys = Array.from({ length: 100 }, (_, i) => `inspected-${i}`);
    await Promise.all(keys.map((key) => client.actor(Tally, key).add()));
    expect(nodes.reduce((sum, node) => sum + resident(node), 0)).toBe(100 + before.reduce((a, b) => a + b, 0));

    const waiting = [client.actor(Tally, 'held').wait(), ...Array.from({ length: 5 }, () => client.actor(Tally, 'held').add())];
    const holder = (): Node | undefined => nodes.find((node) => node.inspect()?.actors.deepest[0]?.key === 'held');
    await expect.poll(() => holder()?.inspect()?.actors.deepest[0]?.waiting).toBe(5);
    const seen = holder()?.inspect(1);
    expect(seen).toMatchObject({
      nodeId: holder()?.nodeId,
      incarnation: holder()?.incarnation,
      state: 'active',
      shardsOwned: shards / 2,
      leaseRemainingMs: expect.any(Number) as number,
      actors: { shards: shards / 2, running: expect.any(Number) as number, quarantined: 0, withheld: 0 },
    });
    expect(seen?.leaseRemainingMs).toBeGreaterThan(500);
    expect(seen?.leaseRemainingMs).toBeLessThanOrEqual(2_000);
    expect(seen?.members.map(({ nodeId, state }) => [nodeId, state]).toSorted()).toEqual([
      ['n1', 'active'],
      ['n2', 'active'],
    ]);
    expect(client.reachability()).toEqual({ connected: true, shards, reachable: shards });
    expect(() => JSON.stringify(seen)).not.toThrow();
    release();
    await Promise.all(waiting);
    expect(nodes.map((node) => node.inspect()?.actors.waiting)).toEqual([0, 0]);
  });

  test('the metrics of all nodes and of a client fit together', async () => {
    const value = (metrics: Metrics, name: string, type = ''): number => {
      const series = metrics.snapshot().find((family) => family.name === name)?.series ?? [];
      const fitting = series.filter(({ labels }) => type === '' || Object.values(labels).includes(type));
      return fitting.reduce((sum, one) => sum + ('value' in one ? one.value : 0), 0);
    };
    const gauges = nodes.map(({ metrics }) => value(metrics, 'perkey_cluster_shards_owned'));
    expect(gauges).toEqual([shards / 2, shards / 2]);
    const secrets = ['inspected-', 'json key', 'order-1', trace];
    for (const { metrics } of [...nodes, client]) {
      const text = JSON.stringify(metrics.snapshot());
      for (const secret of secrets) expect(text).not.toContain(secret);
      expect(value(metrics, 'perkey_nats_connections_lost_total')).toBe(0);
      expect(value(metrics, 'perkey_transport_callback_errors_total')).toBe(0);
    }
  });

  test('a node that stopped is not seen any more, and tells nothing', async () => {
    const third = await startNode({
      ...{ cluster, nodeId: 'n3', shards, transport: nats({ servers: server.url }) },
      actors: [Tally.host({ state: () => ({ value: 0 }), add: () => 0, get: () => 0, wait: () => {} })],
    });
    expect(third.inspect()).toMatchObject({ nodeId: 'n3', state: 'active' });
    await third.stop();
    expect([third.state, third.inspect(), third.incarnation]).toEqual(['stopped', undefined, '']);
    expect(await askAll('$SRV.PING')).toMatchObject([{ id: 'n1' }, { id: 'n2' }]);
    await expect.poll(() => nodes[0]?.inspect()?.members.filter(({ state }) => state !== 'gone').length).toBe(2);
  });
});
