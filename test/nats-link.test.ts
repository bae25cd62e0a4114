import { connect } from '@nats-io/transport-node';
import { MetricsRegistry } from '@perkey/core';
import { startNatsServer } from '@perkey/nats/dev';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { bytesOf, environmentOf, Links, LogKeeper } from './nats-fixture.ts';
import { startNatsCluster } from './support/nats-cluster.ts';

function counted(metrics: MetricsRegistry, name: string): number {
  const family = metrics.snapshot().find((one) => one.name === name);
  return (family?.series ?? []).reduce((sum, series) => sum + ('value' in series ? series.value : 0), 0);
}

const openSockets = (): number => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;

test('a server that is not there: the link says what it tries, and gives up with the name of the server', async () => {
  await using server = await startNatsServer();
  const { port } = server;
  await server.kill();
  await using links = new Links();
  const log = new LogKeeper();
  const opening = links.client({ servers: `nats://127.0.0.1:${port}` }, environmentOf({ log, connectTimeoutMs: 3_500 }));
  await expect(opening).rejects.toMatchObject({ code: 'transport.connect_timeout', executed: 'no' });
  await expect(opening).rejects.toThrow(`127.0.0.1:${port}`);
  await expect(opening).rejects.toThrow('refused');
  const said = log.with('not reachable yet');
  expect(said).toHaveLength(1);
  expect(said[0]?.fields).toMatchObject({ server: `127.0.0.1:${port}`, link: 'data' });
});

test('a server that accepts and says nothing: the link gives up, and leaves no socket behind', async () => {
  await using server = await startNatsServer();
  await using links = new Links();
  const before = openSockets();
  await server.freeze();
  const opening = links.client({ servers: server.url, dialTimeoutMs: 200 }, environmentOf({ connectTimeoutMs: 700 }));
  await expect(opening).rejects.toMatchObject({ code: 'transport.connect_timeout' });
  await expect(opening).rejects.toThrow('no answer');
  await expect.poll(openSockets, { timeout: 2_000 }).toBeLessThanOrEqual(before);
  server.thaw();
});

test('a name that does not resolve is told with its name', async () => {
  await using links = new Links();
  const opening = links.client({ servers: 'nats://no-such-host.invalid:4222' }, environmentOf({ connectTimeoutMs: 500 }));
  await expect(opening).rejects.toMatchObject({ code: 'transport.connect_timeout' });
  await expect(opening).rejects.toThrow('no-such-host.invalid:4222');
});

test('a list of servers that are partly away connects to the one that is there', async () => {
  await using server = await startNatsServer();
  await using links = new Links();
  const { link } = await links.client({ servers: ['127.0.0.1:1', server.url, '127.0.0.1:2'] }, environmentOf());
  expect(link.up).toBe(true);
});

test('a server killed and started again: links are back within a second, and dialled at most ten times a second', async () => {
  await using server = await startNatsServer();
  await using links = new Links();
  const metrics = new MetricsRegistry();
  const node = await links.node({ servers: server.url }, environmentOf({ metrics }));
  const client = await links.client({ servers: server.url }, environmentOf());
  await server.kill();
  await Promise.all([node, client].map(({ told }) => told.until('the loss', () => told.states.at(-1) === false)));
  expect(client.link.send(node.link.address, bytesOf('while down'), 1)).toBe(false);
  const outageMs = 2_000;
  await delay(outageMs);
  const dials = counted(metrics, 'perkey_nats_dial_errors_total');
  expect(dials).toBeGreaterThan(2);
  expect(dials).toBeLessThanOrEqual((outageMs / 1_000) * 10);
  await server.restart();
  const since = performance.now();
  await Promise.all([node, client].map(({ told }) => told.until('the return', () => told.states.at(-1) === true)));
  expect(performance.now() - since).toBeLessThan(1_000);
  client.link.send(node.link.address, bytesOf('after'), 2);
  await node.told.until('a frame', () => node.told.frames.length > 0);
  expect(node.told.frames.map(({ text }) => text)).toEqual(['after']);
  expect(counted(metrics, 'perkey_nats_connections_lost_total')).toBe(1);
});

test('a frozen server is noticed by its silence; what was not yet written then is never delivered', async () => {
  await using server = await startNatsServer();
  await using links = new Links();
  const patient = { servers: server.url, pingIntervalMs: 60_000 };
  const node = await links.node(patient, environmentOf());
  const log = new LogKeeper();
  const client = await links.client({ servers: server.url, pingIntervalMs: 200, pingsUnansweredMax: 2 }, environmentOf({ log }));
  client.link.send(node.link.address, bytesOf('before'), 0);
  await node.told.until('a frame', () => node.told.frames.length === 1);
  await server.freeze();
  const frozenAt = performance.now();
  // More than the buffers of both kernels hold: the last ones stay in this process.
  const frames = 120;
  for (let i = 1; i <= frames; i += 1) {
    const frame = Buffer.alloc(400_000, 120);
    frame.write(`${i} `);
    expect(client.link.send(node.link.address, frame, i)).toBe(true);
  }
  await client.told.until('the loss', () => client.told.states.at(-1) === false);
  expect(performance.now() - frozenAt).toBeLessThan(1_500);
  expect(log.with('lost')[0]?.fields).toMatchObject({ reason: 'the server did not answer the pings' });
  server.thaw();
  await client.told.until('the return', () => client.told.states.at(-1) === true);
  client.link.send(node.link.address, bytesOf('after'), 0);
  await node.told.until('the frame after it', () => node.told.frames.at(-1)?.text === 'after');
  const delivered = node.told.frames.slice(1, -1).map(({ text }) => Number.parseInt(text, 10));
  expect(delivered.length).toBeLessThan(frames);
  expect(delivered).toEqual(delivered.map((_, i) => i + 1));
});

test('a server that does not read: the link drops the connection before the memory is full', async () => {
  await using server = await startNatsServer();
  await using links = new Links();
  const log = new LogKeeper();
  const client = await links.client({ servers: server.url, pingIntervalMs: 60_000, outboundBytesMax: 1_048_576 }, environmentOf({ log }));
  await server.freeze();
  const frame = new Uint8Array(500_000);
  let sent = 0;
  while (sent < 100 && client.link.send(client.link.nodeAddress('n1', 'i1'), frame, sent)) {
    sent += 1;
    await delay(1);
  }
  expect(sent).toBeLessThan(100);
  expect(client.told.states).toEqual([true, false]);
  expect(log.with('lost')[0]?.fields).toMatchObject({ reason: 'its server does not read what is written' });
  server.thaw();
});

test('a reset reaches both links of a node at once, and they come back', async () => {
  await using server = await startNatsServer();
  await using links = new Links();
  const node = await links.node({ servers: server.url }, environmentOf());
  const control = await links.control({ servers: server.url }, environmentOf());
  for (const { link, told } of [node, control]) {
    link.reset();
    expect(link.up).toBe(false);
    expect(told.states).toEqual([true, false]);
    await told.until('the return', () => told.states.length === 3);
    expect(link.up).toBe(true);
  }
});

test('after a reset nothing is delivered that was read before it', async () => {
  await using server = await startNatsServer();
  await using links = new Links();
  const node = await links.node({ servers: server.url }, environmentOf());
  const client = await links.client({ servers: server.url }, environmentOf());
  const onFrame = node.told.onFrame.bind(node.told);
  node.told.onFrame = (frame, from, via) => {
    onFrame(frame, from, via);
    if (node.told.frames.length === 1) node.link.reset();
  };
  for (let i = 0; i < 50; i += 1) client.link.send(node.link.address, bytesOf(`${i}`), i);
  await node.told.until('the return', () => node.told.states.length === 3);
  client.link.send(node.link.address, bytesOf('after'), 50);
  await node.told.until('the frame after it', () => node.told.frames.at(-1)?.text === 'after');
  expect(node.told.frames.map(({ text }) => text)).toEqual(['0', 'after']);
});

test('a connection that is always closed at once is not dialled in a hurry', async () => {
  await using server = await startNatsServer();
  await using links = new Links();
  const log = new LogKeeper();
  const { link, told } = await links.client({ servers: server.url }, environmentOf({ log }));
  const onState = told.onState.bind(told);
  told.onState = (up) => {
    onState(up);
    if (up) setImmediate(() => link.reset());
  };
  link.reset();
  await delay(2_000);
  told.onState = onState;
  expect(log.with('connected to NATS').length).toBeGreaterThan(3);
  expect(log.with('connected to NATS').length).toBeLessThanOrEqual(20);
});

test('a link that is closed soon after its connection was made anew stays closed', async () => {
  await using server = await startNatsServer();
  await using links = new Links();
  const log = new LogKeeper();
  const { link, told } = await links.client({ servers: server.url }, environmentOf({ log }));
  link.reset();
  await told.until('the return', () => told.states.length === 3);
  await link.close();
  await delay(500);
  expect(told.states).toEqual([true, false, true]);
  expect(log.with('connected to NATS')).toHaveLength(2);
});

test('a link closed while it is down stays closed, and its address reaches nobody', async () => {
  await using server = await startNatsServer();
  await using links = new Links();
  const node = await links.node({ servers: server.url }, environmentOf());
  const client = await links.client({ servers: server.url }, environmentOf());
  node.link.reset();
  await node.link.close();
  // What is sent before the server has noticed the reset is lost without a report.
  for (let token = 0; client.told.undeliverable.length === 0; token += 1) {
    client.link.send(node.link.address, bytesOf('to nobody'), token);
    await delay(5);
  }
  expect(node.link.up).toBe(false);
  expect(node.told.states).toEqual([true, false]);
  expect(node.told.frames).toEqual([]);
});

test('a crafted reply subject is not taken for an address', async () => {
  await using server = await startNatsServer();
  await using links = new Links();
  const metrics = new MetricsRegistry();
  const node = await links.node({ servers: server.url }, environmentOf({ metrics }));
  const stranger = await connect({ servers: server.url, reconnect: false });
  const good = `perkey.test.reply.${'a'.repeat(32)}.17`;
  const bad = [
    '$KV.perkey_test_shards.shard.1',
    '$JS.API.STREAM.DELETE.KV_perkey_test_shards',
    '_INBOX.abc.1',
    'perkey.test.node.n2.i2',
    'perkey.test.peer.n1.i1',
    'perkey.test.reply.x',
    'perkey.test.reply.x.y',
    'perkey.test.reply.x.1.2.3',
    'perkey.test.reply.*.1',
    'perkey.test.reply.>.1',
    'perkey.testx.reply.x.1',
    'perkey.test.reply..1',
  ];
  for (const reply of [...bad, good]) stranger.publish(node.link.nodeAddress('n1', 'i1'), reply, { reply });
  await node.told.until('all frames', () => node.told.frames.length === bad.length + 1);
  for (const { text, from } of node.told.frames) expect([text, from]).toEqual([text, text === good ? good.slice(0, -3) : '']);
  expect(counted(metrics, 'perkey_nats_bad_addresses_total')).toBe(bad.length);
  await stranger.close();
});

test('nothing is sent to an address that is not of this cluster; it is told as undeliverable', async () => {
  await using server = await startNatsServer();
  await using links = new Links();
  const node = await links.node({ servers: server.url }, environmentOf());
  const everything: string[] = [];
  const stranger = await connect({ servers: server.url, reconnect: false });
  stranger.subscribe('>', { callback: (_, message) => void everything.push(message.subject) });
  await stranger.flush();
  const bad = [
    '',
    ' ',
    '>',
    '$KV.perkey_test_shards.shard.1',
    '_INBOX.abc',
    'perkey.other.any',
    'perkey.test.node.n1',
    'perkey.test.call.a.b',
    'perkey.test.reply.*',
    'perkey.test.any\r\nPUB x 0\r\n',
  ];
  for (const [i, address] of bad.entries()) expect(node.link.send(address, bytesOf('x'), i)).toBe(true);
  expect(node.link.send(bad[0] ?? '', bytesOf('x'), -1)).toBe(true);
  await node.told.until('all reports', () => node.told.undeliverable.length === bad.length);
  node.link.send(node.link.everyClient, bytesOf('good'), -1);
  await expect.poll(() => everything).toEqual(['perkey.test.clients']);
  expect(node.link.up).toBe(true);
  await stranger.close();
});

test('frameBytesMax keeps below what the server takes', async () => {
  await using server = await startNatsServer({ config: 'max_payload: 65536' });
  await using links = new Links();
  const node = await links.node({ servers: server.url }, environmentOf());
  const client = await links.client({ servers: server.url }, environmentOf());
  expect(client.link.frameBytesMax).toBe(65_536 - 4_096);
  client.link.send(node.link.address, new Uint8Array(client.link.frameBytesMax), 1);
  await node.told.until('the frame', () => node.told.frames.length === 1);
  expect(client.told.states).toEqual([true]);
});

test('with one server configured, the others of its cluster are used when it dies', async () => {
  await using cluster = await startNatsCluster();
  await using links = new Links();
  const [first] = cluster.servers;
  const { told } = await links.client({ servers: first?.url }, environmentOf());
  await first?.kill();
  await told.until('the return', () => told.states.length === 3);
  expect(told.states).toEqual([true, false, true]);
});

test('names that are no tokens are refused before anything is sent', async () => {
  await using links = new Links();
  for (const cluster of ['', 'a.b', 'a b', '*', '>', 'x'.repeat(65), 'ä']) {
    await expect(links.client({}, environmentOf({ cluster }))).rejects.toMatchObject({ code: 'options.invalid' });
    await expect(links.control({}, environmentOf({ cluster }))).rejects.toMatchObject({ code: 'options.invalid' });
  }
  for (const nodeId of ['', 'a.b', '>'])
    await expect(links.node({}, environmentOf(), nodeId)).rejects.toMatchObject({ code: 'options.invalid' });
});
