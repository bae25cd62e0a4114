import { connect, headers } from '@nats-io/transport-node';
import type { Msg, NatsConnection } from '@nats-io/transport-node';
import { PerkeyError, type ForeignCall } from '@perkey/core';
import { startNatsServer } from '@perkey/nats/dev';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { environmentOf, Links } from './nats-fixture.ts';

type Server = Awaited<ReturnType<typeof startNatsServer>>;

let server: Server;
let links: Links;
let caller: NatsConnection;
beforeEach(async () => {
  server = await startNatsServer();
  links = new Links();
  caller = await connect({ servers: server.url, reconnect: false });
});
afterEach(async () => {
  await caller.close();
  await links[Symbol.asyncDispose]();
  await server.stop();
});

const types = [
  { type: 'counter', methods: ['get', 'increment'] },
  { type: 'clock', methods: ['read'] },
];

async function serve(
  nodeId: string,
  answer: (call: ForeignCall) => Promise<unknown>,
  version = '1.2.3',
): Promise<Awaited<ReturnType<Links['node']>>> {
  const node = await links.node({ servers: server.url }, environmentOf(), nodeId);
  await node.link.serveForeignCalls({ nodeId, version, types }, answer);
  return node;
}

function ask(subject: string, body: string, marks: Readonly<Record<string, string>> = {}): Promise<Msg> {
  const sent = headers();
  for (const [name, value] of Object.entries(marks)) sent.set(name, value);
  return caller.request(subject, body, { headers: sent, timeout: 3_000 });
}

/** All answers to one question, as `nats micro` gathers them. */
async function askAll(subject: string): Promise<readonly Record<string, unknown>[]> {
  const answers: Record<string, unknown>[] = [];
  for await (const answer of await caller.requestMany(subject, '', { strategy: 'stall', maxWait: 2_000, stall: 100 } as never))
    answers.push(answer.json());
  return answers.toSorted((a, b) => String(a['id']).localeCompare(String(b['id'])));
}

test('the key in the header or in the body', async () => {
  await serve('n1', ({ type, method, key, input }) => Promise.resolve({ type, method, key, input }));
  const inHeader = await ask('perkey.test.call.counter.increment', '{"amount":5}', { 'Perkey-Key': encodeURIComponent('my key ä') });
  expect(inHeader.json()).toEqual({ type: 'counter', method: 'increment', key: 'my key ä', input: { amount: 5 } });
  expect(inHeader.headers?.get('Perkey-Error-Code') ?? '').toBe('');
  const inBody = await ask('perkey.test.call.clock.read', '{"key":"k","input":[1]}');
  expect(inBody.json()).toEqual({ type: 'clock', method: 'read', key: 'k', input: [1] });
});

test('errors come as code and verdict in headers, and as JSON', async () => {
  await serve('n1', ({ key }) => {
    if (key === 'thrown') throw new Error('hush');
    return Promise.reject(new PerkeyError('mailbox.full', 'the mailbox is full', { retryAfterMs: 30 }));
  });
  const full = await ask('perkey.test.call.counter.get', '{"key":"a"}');
  expect(full.json()).toEqual({ code: 'mailbox.full', message: 'the mailbox is full', executed: 'no', retryAfterMs: 30, details: {} });
  const marks = ['Perkey-Error-Code', 'Perkey-Executed', 'Nats-Service-Error', 'Nats-Service-Error-Code'].map((name) =>
    full.headers?.get(name),
  );
  expect(marks).toEqual(['mailbox.full', 'no', 'the mailbox is full', '429']);
  const thrown = await ask('perkey.test.call.counter.get', '{"key":"thrown"}');
  expect(thrown.json()).toMatchObject({ code: 'handler.failed', executed: 'yes' });
  expect(thrown.string()).not.toContain('hush');
});

test('what is not well formed is refused before it reaches the node; the link lives', async () => {
  let asked = 0;
  const node = await serve('n1', () => Promise.resolve((asked += 1)));
  for (const [body, code] of [
    ['', 'key.invalid'],
    ['{', 'request.malformed'],
    ['{"key":1}', 'key.invalid'],
    [`"${'x'.repeat(300_000)}"`, 'payload.too_large'],
  ] as const) {
    expect((await ask('perkey.test.call.counter.get', body)).headers?.get('Perkey-Error-Code')).toBe(code);
  }
  expect(asked).toBe(0);
  expect((await ask('perkey.test.call.counter.get', '{"key":"a"}')).json()).toBe(1);
  expect(node.told.states).toEqual([true]);
});

test('a type that no node hosts is told at once', async () => {
  await serve('n1', () => Promise.resolve(1));
  const since = performance.now();
  await expect(ask('perkey.test.call.other.get', '{"key":"a"}')).rejects.toThrow('no responders');
  expect(performance.now() - since).toBeLessThan(500);
});

test('a call without a reply subject is executed and not answered', async () => {
  const calls: string[] = [];
  await serve('n1', ({ key }) => Promise.resolve(calls.push(key)));
  caller.publish('perkey.test.call.counter.increment', '{"key":"one way"}');
  await expect.poll(() => calls).toEqual(['one way']);
});

test('an answer over the limit of the server says that the handler ran', async () => {
  await serve('n1', () => Promise.resolve('x'.repeat(1_100_000)));
  expect((await ask('perkey.test.call.counter.get', '{"key":"a"}')).json()).toMatchObject({ code: 'reply.too_large', executed: 'yes' });
});

test('a crowd beyond what a node may answer at once is refused with a hint', async () => {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  await serve('n1', () => promise);
  const refused: unknown[] = [];
  const asked = Array.from({ length: 4_300 }, async () => {
    const answer: unknown = (await caller.request('perkey.test.call.counter.get', '{"key":"a"}', { timeout: 10_000 })).json();
    if (answer !== 1) refused.push(answer);
    return answer;
  });
  await expect.poll(() => refused.length, { timeout: 10_000 }).toBe(4_300 - 4_096);
  expect(refused[0]).toMatchObject({ code: 'node.overloaded', executed: 'no', retryAfterMs: 100 });
  resolve(1);
  const answers = await Promise.all(asked);
  expect(answers.filter((answer) => answer === 1)).toHaveLength(4_096);
});

test('`nats micro` sees the nodes: who they are, what they host, how it went', async () => {
  await serve('n1', ({ key }) => (key === 'bad' ? Promise.reject(new PerkeyError('mailbox.full', 'full')) : Promise.resolve(1)));
  await serve('n2', () => Promise.resolve(1), 'not semver');
  for (const subject of ['$SRV.PING', '$SRV.PING.perkey-test']) {
    expect(await askAll(subject)).toEqual([
      { type: 'io.nats.micro.v1.ping_response', name: 'perkey-test', id: 'n1', version: '1.2.3', metadata: {} },
      { type: 'io.nats.micro.v1.ping_response', name: 'perkey-test', id: 'n2', version: '0.0.0', metadata: {} },
    ]);
  }
  const [info, ...others] = await askAll('$SRV.INFO.perkey-test.n1');
  expect(others).toEqual([]);
  expect(info).toMatchObject({ type: 'io.nats.micro.v1.info_response', name: 'perkey-test', id: 'n1', version: '1.2.3' });
  expect(info?.['description']).toEqual(expect.any(String));
  expect(info?.['endpoints']).toEqual(
    ['counter.get', 'counter.increment', 'clock.read'].map((name) => {
      const [type, method] = name.split('.');
      return { name: `${type}-${method}`, subject: `perkey.test.call.${name}`, queue_group: 'perkey', metadata: { type, method } };
    }),
  );
  await Promise.all(
    Array.from({ length: 20 }, (_, i) => ask('perkey.test.call.counter.get', JSON.stringify({ key: i % 2 === 0 ? 'bad' : 'good' }))),
  );
  const stats = (await askAll('$SRV.STATS')) as unknown as readonly {
    type: string;
    started: string;
    endpoints: readonly {
      num_requests: number;
      num_errors: number;
      last_error: string;
      processing_time: number;
      average_processing_time: number;
    }[];
  }[];
  expect(stats).toHaveLength(2);
  const [first, second] = stats.map(({ endpoints }) => endpoints[0]);
  expect((first?.num_requests ?? 0) + (second?.num_requests ?? 0)).toBe(20);
  expect(second?.num_errors).toBe(0);
  expect(first?.last_error).toBe(first?.num_errors === 0 ? '' : 'mailbox.full (executed: no)');
  for (const { type, started, endpoints } of stats) {
    expect(type).toBe('io.nats.micro.v1.stats_response');
    expect(new Date(started).getTime()).toBeGreaterThan(Date.now() - 60_000);
    for (const { num_requests: requests, processing_time: time, average_processing_time: average } of endpoints) {
      expect(average).toBe(requests === 0 ? 0 : Math.round(time / requests));
    }
  }
});

test('names that are no tokens are not offered, the others are', async () => {
  const node = await links.node({ servers: server.url }, environmentOf());
  const odd = [
    { type: 'a.b', methods: ['get'] },
    { type: 'counter', methods: ['get', 'x y'] },
  ];
  await node.link.serveForeignCalls({ nodeId: 'n1', version: '1.0.0', types: odd }, () => Promise.resolve(1));
  const [info] = await askAll('$SRV.INFO');
  expect(info?.['endpoints']).toMatchObject([{ subject: 'perkey.test.call.counter.get' }]);
});

test('after a reconnect calls are answered again; after close they are not', async () => {
  const node = await serve('n1', () => Promise.resolve(1));
  node.link.reset();
  await node.told.until('the return', () => node.told.states.length === 3);
  expect((await ask('perkey.test.call.counter.get', '{"key":"a"}')).json()).toBe(1);
  expect(await askAll('$SRV.PING')).toHaveLength(1);
  await node.link.close();
  await expect(ask('perkey.test.call.counter.get', '{"key":"a"}')).rejects.toThrow('no responders');
});

test('only a node serves calls', async () => {
  const { link } = await links.client({ servers: server.url }, environmentOf());
  await expect(link.serveForeignCalls({ nodeId: 'n1', version: '1.0.0', types }, () => Promise.resolve(1))).rejects.toMatchObject({
    code: 'client.closed',
  });
});
