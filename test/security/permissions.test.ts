import { headers as natsHeaders, type NatsConnection } from '@nats-io/transport-node';
import { type Client, connect, defineActor, type Node, startNode } from '@perkey/core';
import { jetstream, nats } from '@perkey/nats';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { codeBlocks } from '../docs/code-blocks.ts';
import { counted } from '../faults/support/live-node.ts';
import { makeUserKey } from '../nats-credentials.ts';
import { LogKeeper } from '../nats-fixture.ts';
import { testServers } from '../support/newest-server.ts';
import { publishRefusal, SecuredServer, type SecuredUser, subscribeRefusal, template } from './secured-server.ts';

const Counter = defineActor('counter', {
  increment: { input: z.object({ amount: z.int().default(1) }), output: z.number() },
  get: { output: z.number(), readonly: true },
  relay: { input: z.string(), output: z.number() },
});

const Order = defineActor('order', { place: { input: z.string() }, placed: { output: z.int(), readonly: true } });

/** What its outbox holds goes where a node may publish, and where it may not. */
const order = Order.host({
  state: () => ({ placed: 0 }),
  persist: 'state',
  place(ctx, to) {
    ctx.state.placed += 1;
    ctx.outbox.publish(to, { n: ctx.state.placed });
  },
  placed: (ctx) => ctx.state.placed,
});

const seen: string[] = [];
const counter = Counter.host({
  state: () => ({ value: 0 }),
  increment: (ctx, { amount }) => (ctx.state.value += amount),
  get: (ctx) => ctx.state.value,
  relay: (ctx, key) => ctx.actor(Counter, key).increment(),
});

const root = dirname(dirname(import.meta.dirname));

test('the page shows the template, to the letter', async () => {
  const [block] = codeBlocks(await readFile(join(root, 'docs/security.md'), 'utf8')).filter(({ language }) => language === 'conf');
  expect(block?.text).toBe(await readFile(template, 'utf8'));
});

test('the page lists tests that there are', async () => {
  const page = await readFile(join(root, 'docs/security.md'), 'utf8');
  const list = page.slice(page.indexOf('## The list'), page.indexOf('Not part of it'));
  const named = [...list.matchAll(/`([\w./-]+\.test\.ts)`/g)].map(([, path = '']) => path);
  expect(named.length).toBeGreaterThan(25);
  for (const path of named) expect([path, existsSync(join(root, 'test', path)) || existsSync(join(root, path))]).toEqual([path, true]);
});

describe.each(await testServers())('$name', ({ binary }) => {
  let secured: SecuredServer;
  let first: Node;
  let second: Node;
  let web: Client;
  let batch: Client;
  const log = new LogKeeper();
  const start = (nodeId: string): Promise<Node> =>
    startNode({
      ...{ cluster: 'demo', nodeId, transport: nats(secured.forNode()), actors: [counter], shards: 16, rebalanceDelayMs: 0, log, env: {} },
      authorize: ({ source, method, key }) => {
        seen.push(`${source.origin} ${source.principal} ${method}`);
        return key !== 'of web only' || source.principal === 'web' || 'this key is of web only';
      },
    });
  const as = (user: 'web' | 'batch'): Promise<Client> =>
    connect({ cluster: 'demo', transport: nats(secured.forClient(user)), log, env: {} });

  beforeAll(async () => {
    secured = await SecuredServer.start({ binary, withOther: true });
    first = await start('first');
    [web, batch] = await Promise.all([as('web'), as('batch')]);
  });
  afterAll(async () => {
    await Promise.all([web, batch].map((client) => client?.close()));
    await Promise.all([first, second].map((node) => node?.stop()));
    await secured[Symbol.asyncDispose]();
  });

  test('what is allowed works: calls, one-way messages, calls between actors, a node that joins and one that leaves with the state', async () => {
    const keys = Array.from({ length: 32 }, (_, i) => `key-${i}`);
    await Promise.all(keys.map((key) => web.actor(Counter, key).increment({})));
    second = await start('second');
    await expect.poll(() => [first, second].map((node) => node.inspect()?.shardsOwned)).toEqual([8, 8]);
    await Promise.all(keys.map((key) => batch.actor(Counter, key).increment({})));
    for (const key of keys) web.notifyActor(Counter, key).increment({});
    await expect.poll(async () => new Set(await Promise.all(keys.map((key) => web.actor(Counter, key).get())))).toEqual(new Set([3]));
    expect(await Promise.all(keys.map((key) => web.actor(Counter, `relay ${key}`).relay(key)))).toEqual(keys.map(() => 4));
    const third = await start('third');
    await expect.poll(() => third.inspect()?.shardsOwned).toBeGreaterThan(0);
    await third.stop();
    expect(new Set(await Promise.all(keys.map((key) => batch.actor(Counter, key).get())))).toEqual(new Set([4]));
    expect(log.with('refused an operation')).toEqual([]);
    for (const node of [first, second]) expect(counted(node.metrics, 'perkey_nats_permission_errors_total')).toBe(0);
  });

  test('a call in JSON, and whoever looks', async () => {
    const billing = await secured.raw('billing');
    const answer = await billing.request('perkey.demo.call.counter.get.billing', '{"key":"json"}', { timeout: 5_000 });
    expect(answer.json()).toBe(0);
    const observer = await secured.raw('observer');
    expect((await observer.request('$SRV.PING.perkey-demo', '', { timeout: 5_000 })).json()).toMatchObject({ name: 'perkey-demo' });
    expect((await observer.request('$SRV.STATS.perkey-demo', '', { timeout: 5_000 })).json()).toMatchObject({ name: 'perkey-demo' });
    expect(await subscribeRefusal(observer, 'perkey.demo.clients')).toBe('');
  });

  test('a store in JetStream can do what it needs: make its streams, append by compare-and-set, read and erase', async () => {
    const store = await secured.raw('store');
    const api = async (subject: string, body: object = {}): Promise<unknown> =>
      (await store.request(`$JS.API.${subject}`, JSON.stringify(body), { timeout: 5_000 })).json();
    for (const name of ['events', 'states', 'snapshots'].map((kind) => `perkey_demo_${kind}`).concat('KV_perkey_demo_records')) {
      const prefix = name.startsWith('KV') ? '$KV.perkey_demo_records' : name.replaceAll('_', '.');
      expect(await api(`STREAM.CREATE.${name}`, { name, subjects: [`${prefix}.>`] })).not.toHaveProperty('error');
      const expected = natsHeaders();
      expected.set('Nats-Expected-Last-Subject-Sequence', '0');
      const append = (): Promise<unknown> =>
        store.request(`${prefix}.counter.x`, 'one', { headers: expected, timeout: 5_000 }).then((one) => one.json());
      expect(await append()).toMatchObject({ stream: name, seq: 1 });
      expect(await append()).toMatchObject({ error: { err_code: 10_071 } });
      expect(await api(`STREAM.INFO.${name}`)).toMatchObject({ state: { messages: 1 } });
      expect(await api(`STREAM.MSG.GET.${name}`, { last_by_subj: `${prefix}.counter.x` })).toMatchObject({ message: { seq: 1 } });
      const config = { name: 'r', filter_subject: `${prefix}.counter.x`, ack_policy: 'none', deliver_policy: 'all' };
      const create = `CONSUMER.CREATE.${name}.r.${prefix}.counter.x`;
      expect(await api(create, { stream_name: name, config })).not.toHaveProperty('error');
      const read: string[] = [];
      const inbox = store.subscribe('_STORE.demo.read', { max: 1, callback: (_, message) => void read.push(message.string()) });
      store.publish(`$JS.API.CONSUMER.MSG.NEXT.${name}.r`, '{"batch":1}', { reply: '_STORE.demo.read' });
      await inbox.closed;
      expect(read).toEqual(['one']);
      expect(await api(`CONSUMER.DELETE.${name}.r`)).toMatchObject({ success: true });
      expect(await api(`STREAM.MSG.DELETE.${name}`, { seq: 1, no_erase: true })).toMatchObject({ success: true });
    }
  });

  test('durable actors and their outboxes: a node with a store in JetStream does all that with these rights', async () => {
    await using own = await SecuredServer.start({ binary });
    const options = { cluster: 'demo', actors: [order], shards: 4, log, env: {}, outboxAttemptsMax: 1, outboxTimeoutMs: 500 };
    const startOne = (nodeId: string): Promise<Node> =>
      startNode({ ...options, nodeId, transport: nats(own.forNode()), store: jetstream(own.forStore()) });
    const one = await startOne('one');
    await one.actor(Order, 'a').place('outbox.demo.placed');
    await one.stop();
    await using next = await startOne('next');
    expect(await next.actor(Order, 'a').placed()).toBe(1);
    await next.actor(Order, 'a').place('elsewhere.placed');
    await expect
      .poll(() => next.deadMessages(), { timeout: 10_000 })
      .toMatchObject([{ key: 'a', number: 2, error: expect.stringContaining('does not allow') as string }]);
  });

  test('the hook of a node knows who calls, whatever the caller says', async () => {
    expect(await web.actor(Counter, 'of web only').increment({})).toBe(1);
    const claiming = await connect({ cluster: 'demo', transport: nats(secured.forClient('batch')), callerName: 'web', env: {} });
    const claim = claiming.request('counter', 'increment', 'of web only', {}, { onBehalfOf: 'web', headers: { principal: 'web' } });
    await expect(claim).rejects.toMatchObject({ code: 'request.forbidden', executed: 'no', message: 'this key is of web only' });
    expect(() => claiming.notify('counter', 'increment', 'of web only', {})).not.toThrow();
    const billing = await secured.raw('billing');
    const marks = natsHeaders();
    marks.set('Perkey-Key', 'of web only');
    const answer = await billing.request('perkey.demo.call.counter.get.billing', '', { timeout: 5_000, headers: marks });
    expect([answer.headers?.get('Perkey-Error-Code'), answer.headers?.get('Perkey-Executed')]).toEqual(['request.forbidden', 'no']);
    expect(await web.actor(Counter, 'of web only').get()).toBe(1);
    for (const line of ['client web increment', 'client batch increment', 'json billing get', 'node  increment'])
      expect(seen).toContain(line);
    await claiming.close();
  });

  const incarnation = (): string => first.incarnation;
  const forbidden: Readonly<Record<SecuredUser, { readonly publish: () => readonly string[]; readonly subscribe: readonly string[] }>> = {
    web: {
      publish: () => [
        ...['$KV.perkey_demo_shards.shard.1', '$KV.perkey_demo_members.member.first', '$JS.API.STREAM.DELETE.KV_perkey_demo_shards'],
        ...['$JS.API.STREAM.INFO.KV_perkey_demo_shards', '$JS.API.INFO', `perkey.demo.peer.first.${incarnation()}`, 'perkey.demo.events.x'],
        ...[`perkey.demo.node.first.${incarnation()}`, `perkey.demo.node.first.${incarnation()}.batch`, 'perkey.demo.clients'],
        ...['perkey.demo.reply.batch.x', 'perkey.demo.reply.web.x', 'perkey.demo.call.counter.get', 'perkey.demo.call.counter.get.web'],
        ...['perkey.other.any', '_INBOX.billing.x', '_CONTROL.demo.x', '$SRV.PING'],
      ],
      subscribe: [
        ...['perkey.demo.reply.>', 'perkey.demo.reply.*.*', 'perkey.demo.reply.batch.>', 'perkey.demo.reply.node.>', 'perkey.demo.node.>'],
        ...['perkey.demo.peer.>', 'perkey.demo.call.>', 'perkey.demo.any', '_INBOX.>', '_CONTROL.>', '$KV.>', '$JS.>', '$SRV.>', '>'],
      ],
    },
    batch: { publish: () => [`perkey.demo.node.first.${incarnation()}.web`], subscribe: ['perkey.demo.reply.web.>'] },
    billing: {
      publish: () => [
        ...['perkey.demo.call.counter.increment.billing', 'perkey.demo.call.counter.get', 'perkey.demo.call.counter.get.web'],
        ...[
          'perkey.demo.call.other.get.billing',
          `perkey.demo.node.first.${incarnation()}`,
          'perkey.demo.any',
          '$KV.perkey_demo_shards.shard.1',
        ],
      ],
      subscribe: ['_INBOX.>', '_INBOX.observer.>', 'perkey.demo.reply.>', 'perkey.demo.call.>', '_CONTROL.demo.>'],
    },
    observer: {
      publish: () => [
        'perkey.demo.any',
        'perkey.demo.call.counter.get',
        '$KV.perkey_demo_shards.shard.1',
        '$JS.API.INFO',
        'perkey.demo.clients',
      ],
      subscribe: ['perkey.demo.reply.>', 'perkey.demo.node.>', '$SRV.>', '_INBOX.>', '$KV.>'],
    },
    node: {
      publish: () => [
        ...[
          '$KV.perkey_demo_shards.shard.1',
          '$KV.perkey_demo_members.member.x',
          '$JS.API.STREAM.DELETE.KV_perkey_demo_shards',
          '$JS.API.INFO',
        ],
        ...[
          'perkey.demo.events.x',
          '_CONTROL.demo.x',
          'perkey.other.peer.x.y',
          'perkey.other.reply.web.x',
          '$KV.perkey_other_shards.shard.1',
        ],
      ],
      subscribe: ['perkey.other.>', '$KV.>', '$JS.>', '_CONTROL.>', '_INBOX.>', 'perkey.demo.reply.web.>', '>'],
    },
    store: {
      publish: () => [
        ...['$KV.perkey_demo_shards.shard.1', '$KV.perkey_demo_members.member.first', '$JS.API.STREAM.INFO.KV_perkey_demo_shards'],
        ...[
          '$JS.API.STREAM.DELETE.perkey_demo_events',
          '$JS.API.STREAM.PURGE.perkey_demo_events',
          '$JS.API.STREAM.UPDATE.perkey_demo_events',
        ],
        ...['perkey.other.events.x', '$JS.API.CONSUMER.CREATE.perkey_other_events.x', '$JS.API.CONSUMER.CREATE.KV_perkey_demo_shards.x'],
        ...[`perkey.demo.peer.first.${incarnation()}`, 'perkey.demo.clients', '_CONTROL.demo.x', '_INBOX.billing.x'],
      ],
      subscribe: ['perkey.demo.events.>', 'perkey.demo.>', '_STORE.>', '_STORE.other.>', '_CONTROL.demo.>', '_INBOX.>', '$KV.>'],
    },
    control: {
      publish: () => [
        ...['$KV.perkey_other_shards.shard.1', '$JS.API.STREAM.DELETE.KV_perkey_demo_shards', '$JS.API.STREAM.PURGE.KV_perkey_demo_shards'],
        ...['$JS.API.STREAM.UPDATE.KV_perkey_demo_shards', '$JS.API.STREAM.CREATE.more', '$JS.API.STREAM.DELETE.perkey_demo_events'],
        ...['$JS.API.STREAM.PURGE.perkey_demo_events', '$JS.API.CONSUMER.CREATE.KV_perkey_other_members.x', '$JS.API.STREAM.LIST'],
        ...[`perkey.demo.peer.first.${incarnation()}`, 'perkey.demo.clients', 'perkey.demo.events.x', '_INBOX.billing.x', '_STORE.demo.x'],
      ],
      subscribe: ['perkey.demo.>', 'perkey.demo.node.>', '_INBOX.>', '_CONTROL.>', '_CONTROL.other.>', '$KV.>'],
    },
  };

  test.each(Object.entries(forbidden))('%s is refused what is not its own', async (user, { publish, subscribe }) => {
    const raw = await secured.raw(user as SecuredUser);
    for (const subject of publish())
      expect([subject, await publishRefusal(raw, subject)]).toEqual([subject, expect.stringMatching(/permission/i)]);
    for (const subject of subscribe) {
      for (const queue of ['', 'perkey']) {
        expect([subject, queue, await subscribeRefusal(raw, subject, queue)]).toEqual([
          subject,
          queue,
          expect.stringMatching(/permission/i),
        ]);
      }
    }
    expect(raw.isClosed()).toBe(false);
  });

  test('a crafted reply subject makes nobody write a record, nor answer where the records are awaited', async () => {
    const control = await secured.raw('control');
    const told: string[] = [];
    control.subscribe('_CONTROL.demo.>', { callback: (_, { subject }) => void told.push(subject) });
    await control.flush();
    const [billing, observer, raw] = [await secured.raw('billing'), await secured.raw('observer'), await secured.raw('web')];
    const before = await revisions(control);
    const targets = [
      '$KV.perkey_demo_shards.shard.1',
      '$JS.API.STREAM.DELETE.KV_perkey_demo_shards',
      'perkey.demo.events.x',
      '_CONTROL.demo.x',
    ];
    for (const reply of targets) {
      expect(await publishRefusal(billing, 'perkey.demo.call.counter.get.billing', '{"key":"k"}', reply)).toBe('');
      expect(await publishRefusal(observer, '$SRV.PING', '', reply)).toBe('');
      for (const node of [first, second]) {
        const subject = `perkey.demo.node.${node.nodeId}.${node.incarnation}.web`;
        expect(await publishRefusal(raw, subject, Buffer.from([0x50, 0x4b, 1, 1]).toString('latin1'), reply)).toBe('');
      }
      expect(await publishRefusal(raw, 'perkey.demo.any', Buffer.from([0x50, 0x4b, 1, 5]).toString('latin1'), reply)).toBe('');
    }
    expect((await billing.request('perkey.demo.call.counter.get.billing', '{"key":"k"}', { timeout: 5_000 })).json()).toBe(0);
    expect(await web.actor(Counter, 'k').get()).toBe(0);
    expect(told.filter((subject) => subject === '_CONTROL.demo.x')).toEqual([]);
    expect(await revisions(control)).toBe(before);
  });

  test('the users of another cluster reach nothing of this one, also not by way of JetStream', async () => {
    const there = await startNode({
      cluster: 'other',
      nodeId: 'there',
      transport: nats(secured.forNode('other')),
      actors: [counter],
      env: {},
    });
    const spy = await secured.raw('control');
    // What JetStream delivers keeps the subject under which it was stored.
    const [here, own]: [string[], string[]] = [[], []];
    spy.subscribe('_CONTROL.demo.>', { callback: (_, { subject }) => void here.push(subject) });
    await spy.flush();
    const wrong = [nats({ ...secured.forNode('other') }), nats({ ...secured.forNode('other'), inboxPrefix: '_CONTROL.demo' })];
    for (const transport of wrong) {
      const joining = startNode({ cluster: 'demo', nodeId: 'spy', transport, actors: [counter], connectTimeoutMs: 2_000, env: {} });
      await expect(joining).rejects.toMatchObject({ executed: 'no' });
    }
    const other = await secured.raw('control', 'other');
    other.subscribe('_CONTROL.other.>', { callback: (_, { subject }) => void own.push(subject) });
    const stealInto = (deliver: string, name: string): Promise<unknown> => {
      const config = { deliver_subject: deliver, deliver_policy: 'all', ack_policy: 'none', name };
      const request = JSON.stringify({ stream_name: 'KV_perkey_other_members', config });
      return other.request(`$JS.API.CONSUMER.CREATE.KV_perkey_other_members.${name}`, request, { timeout: 2_000 });
    };
    // Within its own account JetStream does deliver to where its creator could not publish.
    await stealInto('_CONTROL.demo.stolen', 'x');
    await stealInto('_CONTROL.other.own', 'y');
    await expect.poll(() => own).toContain('$KV.perkey_other_members.member.there');
    await spy.flush();
    expect(here.filter((subject) => subject.includes('other'))).toEqual([]);
    await there.stop();
  });

  test('without a certificate, with an unknown key, or with a password, nobody comes in', async () => {
    const { ca } = secured.authority;
    const servers = `127.0.0.1:${secured.server.port}`;
    const seed = secured.seed('web');
    for (const options of [
      { servers, tls: { ca }, nkey: seed },
      { servers, tls: secured.tls, nkey: makeUserKey().seed },
      { servers, tls: secured.tls, user: 'web', pass: 'web' },
      { servers, tls: secured.tls },
      { servers, nkey: seed },
    ]) {
      const opening = connect({ cluster: 'demo', transport: nats(options), connectTimeoutMs: 1_500, env: {} });
      await expect(opening).rejects.toMatchObject({
        code: expect.stringMatching(/^transport\.(refused|connect_timeout)$/),
        executed: 'no',
      });
    }
  });

  test('of a server that lacks fixes it is said once, with what to do', async () => {
    const said = new LogKeeper();
    const transport = nats(secured.forNode());
    const node = await startNode({ cluster: 'demo', nodeId: 'fourth', transport, actors: [counter], shards: 16, log: said, env: {} });
    await node.stop();
    const { version } = secured.server.info;
    const isOld = version.startsWith('2.9.');
    expect(said.with('lacks security fixes')).toEqual(
      isOld ? [{ level: 'warn', message: expect.stringContaining('2.12.7'), fields: expect.objectContaining({ version }) }] : [],
    );
  });

  test('a client that calls itself by another name is refused when it connects, and one without a name too', async () => {
    for (const principal of ['batch', '']) {
      const opening = connect({
        cluster: 'demo',
        transport: nats({ ...secured.forClient('web'), principal }),
        connectTimeoutMs: 2_000,
        env: {},
      });
      await expect(opening).rejects.toMatchObject({ code: 'transport.refused' });
    }
  });
});

/** How often anything was written to the records of shards. */
async function revisions(control: NatsConnection): Promise<number> {
  const answer = await control.request('$JS.API.STREAM.INFO.KV_perkey_demo_shards', '', { timeout: 2_000 });
  return answer.json<{ state: { last_seq: number } }>().state.last_seq;
}
