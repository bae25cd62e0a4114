import { connect } from '@nats-io/transport-node';
import { MetricsRegistry } from '@perkey/core';
import type { NatsOptions } from '@perkey/nats';
import { startNatsServer } from '@perkey/nats/dev';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeAuthority, makeOperator, makeUserKey, type Authority, type Certificate } from './nats-credentials.ts';
import { bytesOf, environmentOf, Links, LogKeeper } from './nats-fixture.ts';
import { testServers } from './support/newest-server.ts';

let authority: Authority;
let serverCertificate: Certificate;
beforeAll(async () => {
  authority = await makeAuthority();
  serverCertificate = await authority.issue('server', 'IP:127.0.0.1,DNS:localhost');
});
afterAll(() => authority[Symbol.asyncDispose]());

const secret = 'hush-hush';
const wrong = 'wr-wrong-ong';

/** The good options get a frame through; the bad ones are refused at once, for good, and without a secret in anything that is said. */
async function check(config: string, good: NatsOptions, bad: readonly NatsOptions[], says: string = 'uthori'): Promise<void> {
  await using server = await startNatsServer({ config });
  const { port } = server;
  const at = (options: NatsOptions): NatsOptions => ({ servers: `127.0.0.1:${port}`, ...options });
  await using links = new Links();
  const log = new LogKeeper();
  const node = await links.node(at(good), environmentOf({ log }));
  const client = await links.client(at(good), environmentOf({ log }));
  client.link.send(node.link.address, bytesOf('hello'), 1);
  await node.told.until('a frame', () => node.told.frames.length === 1);
  for (const options of bad) {
    const since = performance.now();
    const refused: unknown = await links.client(at(options), environmentOf({ log })).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'transport.refused', executed: 'no' });
    expect(performance.now() - since).toBeLessThan(2_000);
    expect((refused as Error).message).toContain(`127.0.0.1:${port}`);
    expect((refused as Error).message).toContain(says);
    expect(JSON.stringify([String(refused), refused])).not.toMatch(new RegExp(`${secret}|${wrong}|SU[A-Z0-9]{20}|eyJ`));
  }
  expect(log.text).not.toMatch(new RegExp(`${secret}|${wrong}|SU[A-Z0-9]{20}|eyJ`));
}

test('user and password', async () => {
  await check(`authorization { user: me, password: "${secret}" }`, { user: 'me', pass: secret }, [
    {},
    { user: 'me', pass: wrong },
    { user: 'you', pass: secret },
    { token: secret },
  ]);
});

test('user and password in the URL', async () => {
  await using server = await startNatsServer({ config: `authorization { user: me, password: "${secret}" }` });
  await using links = new Links();
  const log = new LogKeeper();
  await links.control({ servers: `nats://me:${secret}@127.0.0.1:${server.port}` }, environmentOf({ log }));
  const opening = links.client({ servers: `nats://me:${wrong}@127.0.0.1:${server.port}` }, environmentOf({ log }));
  await expect(opening).rejects.toMatchObject({ code: 'transport.refused' });
  await expect(opening).rejects.not.toThrow(wrong);
  expect(log.text).not.toMatch(new RegExp(`${secret}|${wrong}`));
});

test('token', async () => {
  await check(`authorization { token: "${secret}" }`, { token: secret }, [{}, { token: wrong }, { user: secret }]);
});

test('nkey', async () => {
  const [known, stranger] = [makeUserKey(), makeUserKey()];
  await check(`authorization { users: [ { nkey: ${known.publicKey} } ] }`, { nkey: known.seed }, [{}, { nkey: stranger.seed }]);
});

test('an nkey or credentials that are not well formed', async () => {
  const known = makeUserKey();
  await using server = await startNatsServer({ config: `authorization { users: [ { nkey: ${known.publicKey} } ] }` });
  await using links = new Links();
  for (const options of [{ nkey: 'SUNOTASEED' }, { nkey: known.publicKey }, { creds: 'hush-hush' }]) {
    const opening = links.client({ servers: server.url, ...options }, environmentOf());
    await expect(opening).rejects.toMatchObject({ code: 'transport.refused' });
    await expect(opening).rejects.toThrow('not well formed');
  }
});

test('credentials file', async () => {
  const { config, creds, strangerCreds } = makeOperator();
  await using server = await startNatsServer({ config, jetstream: false });
  await using links = new Links();
  await links.client({ servers: server.url, creds }, environmentOf());
  for (const options of [{}, { creds: strangerCreds }]) {
    await expect(links.client({ servers: server.url, ...options }, environmentOf())).rejects.toMatchObject({ code: 'transport.refused' });
  }
});

const tlsConfig = (more: string = ''): string =>
  `tls { cert_file: "${serverCertificate.certFile}", key_file: "${serverCertificate.keyFile}" ${more} }`;

test('TLS: the authority must be the right one', async () => {
  const other = await makeAuthority();
  await check(tlsConfig(), { tls: { ca: authority.ca } }, [{}, { tls: {} }, { tls: { ca: other.ca } }], 'TLS');
  await check(tlsConfig(), { tls: { caFile: authority.caFile } }, [{ tls: { caFile: other.caFile } }], 'TLS');
  await other[Symbol.asyncDispose]();
});

test('TLS: the certificate must be for the name that was dialled', async () => {
  const elsewhere = await authority.issue('elsewhere', 'DNS:elsewhere.invalid');
  await using server = await startNatsServer({ config: `tls { cert_file: "${elsewhere.certFile}", key_file: "${elsewhere.keyFile}" }` });
  await using links = new Links();
  const opening = links.client({ servers: `localhost:${server.port}`, tls: { ca: authority.ca } }, environmentOf());
  await expect(opening).rejects.toMatchObject({ code: 'transport.refused' });
  await using named = await startNatsServer({ config: tlsConfig() });
  await links.client({ servers: `localhost:${named.port}`, tls: { ca: authority.ca } }, environmentOf());
});

test('TLS asked for, and the server has none: refused, nothing is sent in the clear', async () => {
  await using server = await startNatsServer();
  await using links = new Links();
  for (const options of [{ tls: {} }, { servers: `tls://127.0.0.1:${server.port}` }]) {
    const opening = links.client({ servers: server.url, ...options }, environmentOf());
    await expect(opening).rejects.toMatchObject({ code: 'transport.refused' });
    await expect(opening).rejects.toThrow('no TLS');
  }
});

test('TLS on both sides: a certificate of the client is needed', async () => {
  const mine = await authority.issue('client', 'DNS:client');
  await using server = await startNatsServer({ config: tlsConfig(`, ca_file: "${authority.caFile}", verify: true`) });
  await using links = new Links();
  const { ca, caFile } = authority;
  await links.client({ servers: server.url, tls: { ca, cert: mine.cert, key: mine.key } }, environmentOf());
  await links.control({ servers: server.url, tls: { caFile, certFile: mine.certFile, keyFile: mine.keyFile } }, environmentOf());
  const opening = links.client({ servers: server.url, tls: { ca } }, environmentOf({ connectTimeoutMs: 1_500 }));
  await expect(opening).rejects.toMatchObject({ code: expect.stringMatching(/^transport\.(refused|connect_timeout)$/) });
});

const modern = (await testServers()).find(({ name }) => !name.includes(' 2.9.'));
test.skipIf(modern === undefined)('TLS before the server says anything (needs nats-server 2.10)', async () => {
  await using server = await startNatsServer({ binary: modern?.binary, config: tlsConfig(', handshake_first: auto') });
  await using links = new Links();
  const options = { servers: `127.0.0.1:${server.port}`, tls: { ca: authority.ca, handshakeFirst: true } };
  const node = await links.node(options, environmentOf());
  const client = await links.client(options, environmentOf());
  node.link.reset();
  await node.told.until('the return', () => node.told.states.length === 3);
  client.link.send(node.link.address, bytesOf('hello'), 1);
  await node.told.until('a frame', () => node.told.frames.length === 1);
  const opening = links.client({ servers: server.url, tls: { handshakeFirst: true } }, environmentOf());
  await expect(opening).rejects.toMatchObject({ code: 'transport.refused' });
});

test('a link over TLS is reset and comes back', async () => {
  await using server = await startNatsServer({ config: tlsConfig() });
  await using links = new Links();
  const options = { servers: server.url, tls: { ca: authority.ca } };
  const node = await links.node(options, environmentOf());
  const client = await links.client(options, environmentOf());
  for (let round = 1; round <= 3; round += 1) {
    client.link.reset();
    expect(client.link.up).toBe(false);
    await client.told.until('the return', () => client.told.states.length === 1 + 2 * round);
    client.link.send(node.link.address, bytesOf('hello'), round);
    await node.told.until('a frame', () => node.told.frames.length === round);
  }
});

test('credentials that are refused later: the link goes on trying, says why, and comes back when they are good again', async () => {
  const config = (password: string): string => `authorization { user: me, password: "${password}" }`;
  await using server = await startNatsServer({ config: config(secret) });
  await using links = new Links();
  const log = new LogKeeper();
  const { told } = await links.client({ servers: `127.0.0.1:${server.port}`, user: 'me', pass: secret }, environmentOf({ log }));
  await server.kill();
  const changed = await startNatsServer({ config: config(wrong), port: server.port });
  await expect.poll(() => log.with('still trying').length, { timeout: 8_000 }).toBeGreaterThan(0);
  expect(JSON.stringify(log.with('still trying'))).toContain('uthori');
  expect(told.states).toEqual([true, false]);
  await changed.stop();
  await server.restart();
  await told.until('the return', () => told.states.length === 3);
  expect(log.text).not.toMatch(new RegExp(`${secret}|${wrong}`));
});

const leastRights = (cluster: string): string => {
  const buckets = ['members', 'shards'].map((name) => `perkey_${cluster}_${name}`);
  const list = (subjects: readonly string[]): string => subjects.map((subject) => `"${subject}"`).join(', ');
  const control = [
    ...buckets.map((bucket) => `$KV.${bucket}.>`),
    ...buckets.flatMap((bucket) => ['INFO', 'MSG.GET', 'MSG.DELETE', 'CREATE'].map((verb) => `$JS.API.STREAM.${verb}.KV_${bucket}`)),
    ...buckets.flatMap((bucket) => ['CREATE', 'DELETE'].map((verb) => `$JS.API.CONSUMER.${verb}.KV_${bucket}.>`)),
    '$JS.API.INFO',
  ];
  const user = (name: string, publish: readonly string[], subscribe: readonly string[]): string =>
    `{ user: ${name}, password: "${secret}", permissions: { publish: [${list(publish)}], subscribe: [${list(subscribe)}] } }`;
  return `authorization { users: [
    ${user('data', [`perkey.${cluster}.>`, '_INBOX.>'], [`perkey.${cluster}.>`, '$SRV.>'])},
    ${user('control', control, ['_INBOX.>'])},
    ${user('client', [`perkey.${cluster}.node.>`, `perkey.${cluster}.any`], [`perkey.${cluster}.reply.>`, `perkey.${cluster}.clients`])},
    ${user('caller', [`perkey.${cluster}.call.>`], ['_INBOX.>'])}
  ] }`;
};

test('the rights that are documented are enough, and no more than that', async () => {
  await using server = await startNatsServer({ config: leastRights('test') });
  await using links = new Links();
  const metrics = new MetricsRegistry();
  const as = (user: string): NatsOptions => ({ servers: `127.0.0.1:${server.port}`, user, pass: secret });
  const nodeOptions = { ...as('data'), control: { user: 'control', pass: secret } };
  const log = new LogKeeper();
  const node = await links.node(nodeOptions, environmentOf({ log, metrics }));
  const control = await links.control(nodeOptions, environmentOf({ log, metrics }));
  const told: string[] = [];
  const watch = await control.link.members.watch({
    onRecord: ({ value }) => void told.push(value),
    onSynced: () => void told.push('synced'),
  });
  const written = await control.link.members.write('a', 'one', 0);
  await expect.poll(() => told).toEqual(['synced', 'one']);
  await control.link.members.forget('a', written.applied ? written.revision : 0);
  expect(await control.link.members.read('a')).toBeUndefined();
  watch.stop();
  const client = await links.client(as('client'), environmentOf({ log, metrics }));
  client.link.send(client.link.nodeAddress('n1', 'i1'), bytesOf('request'), 1);
  await node.told.until('a frame', () => node.told.frames.length === 1);
  node.link.send(node.told.frames[0]?.from ?? '', bytesOf('reply'), -1);
  await client.told.until('a reply', () => client.told.frames.length === 1);
  client.link.send(client.link.nodeAddress('n9', 'i1'), bytesOf('nobody'), 2);
  await client.told.until('a report', () => client.told.undeliverable.length === 1);
  await node.link.serveForeignCalls({ nodeId: 'n1', version: '1.0.0', types: [{ type: 'counter', methods: ['get'] }] }, () =>
    Promise.resolve(7),
  );
  const caller = await connect({ servers: server.url, user: 'caller', pass: secret, reconnect: false });
  expect((await caller.request('perkey.test.call.counter.get', '{"key":"a"}')).json()).toBe(7);
  await caller.close();
  expect(log.with('refused')).toEqual([]);
  // A client cannot be a node, hold records, or send what only nodes may.
  await expect(links.node(as('client'), environmentOf(), 'n2')).rejects.toMatchObject({ code: 'transport.refused' });
  await expect(links.control(as('client'), environmentOf(), 'n2')).rejects.toMatchObject({ code: 'transport.refused' });
  await expect(links.control(as('data'), environmentOf(), 'n2')).rejects.toMatchObject({ code: 'transport.refused' });
});

test('an answer cannot be sent to a bucket on a caller’s behalf, even where the server would allow it', async () => {
  await using server = await startNatsServer();
  await using links = new Links();
  const metrics = new MetricsRegistry();
  const control = await links.control({ servers: server.url }, environmentOf());
  const written = await control.link.shards.write('shard.1', 'mine', 0);
  const node = await links.node({ servers: server.url }, environmentOf({ metrics }));
  let asked = 0;
  await node.link.serveForeignCalls({ nodeId: 'n1', version: '1.0.0', types: [{ type: 'counter', methods: ['get'] }] }, () =>
    Promise.resolve((asked += 1)),
  );
  const caller = await connect({ servers: server.url, reconnect: false });
  const targets = ['$KV.perkey_test_shards.shard.1', '$JS.API.STREAM.DELETE.KV_perkey_test_shards', 'perkey.test.node.n1.i1'];
  for (const reply of targets) caller.publish('perkey.test.call.counter.get', '{"key":"a"}', { reply });
  for (const reply of targets) caller.publish('$SRV.PING', '', { reply });
  await caller.request('perkey.test.call.counter.get', '{"key":"a"}');
  expect(asked).toBe(1);
  expect(await control.link.shards.read('shard.1')).toEqual({
    key: 'shard.1',
    value: 'mine',
    revision: written.applied ? written.revision : -1,
  });
  expect(node.told.frames).toEqual([]);
  const family = metrics.snapshot().find(({ name }) => name === 'perkey_nats_bad_reply_subjects_total');
  expect(family?.series).toMatchObject([{ value: 6 }]);
  await caller.close();
});

test('rights that are taken away later: told, counted, and no request hangs', async () => {
  await using server = await startNatsServer({ config: `authorization { user: me, password: "${secret}" }` });
  await using links = new Links();
  const log = new LogKeeper();
  const options = { servers: `127.0.0.1:${server.port}`, user: 'me', pass: secret };
  const { link, told } = await links.control(options, environmentOf({ log }));
  await link.members.write('a', 'one', 0);
  await server.kill();
  const config = `authorization { users: [ { user: me, password: "${secret}", permissions: { publish: ["$JS.API.STREAM.INFO.>"], subscribe: ["_INBOX.>"] } } ] }`;
  await using narrowed = await startNatsServer({ config, port: server.port });
  await told.until('the return', () => told.states.length === 3);
  expect(narrowed.running).toBe(true);
  const since = performance.now();
  await expect(link.members.write('a', 'two', 1)).rejects.toMatchObject({ code: 'transport.refused' });
  expect(performance.now() - since).toBeLessThan(1_000);
  expect(log.with('refused an operation').length).toBeGreaterThan(0);
  await links[Symbol.asyncDispose]();
});
