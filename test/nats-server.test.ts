import { once } from 'node:events';
import { connect as dial, type Socket } from 'node:net';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection, type Subscription } from '@nats-io/transport-node';
import { startNatsServer, type NatsServer } from '@perkey/nats/dev';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HoldProxy } from './support/hold-proxy.ts';
import { startNatsCluster } from './support/nats-cluster.ts';
import { testServers } from './support/newest-server.ts';

const servers = await testServers();

/** A connection without the client library, so that what is written is known to the byte. */
async function rawClient(port: number): Promise<Socket> {
  const socket = dial(port, '127.0.0.1');
  socket.on('error', () => undefined);
  await once(socket, 'data');
  socket.write('CONNECT {"verbose":false}\r\nPING\r\n');
  await once(socket, 'data');
  return socket;
}

/** Also where an error comes first. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => void socket.resume().once('close', () => resolve()));
}

async function next(subscription: Subscription): Promise<string> {
  for await (const message of subscription) return message.string();
  throw new Error('the subscription has ended');
}

describe.each(servers)('$name', ({ binary }) => {
  test('survives a kill with what it acknowledged', async () => {
    await using server = await startNatsServer({ binary });
    const before = await connect({ servers: server.url });
    await (await jetstreamManager(before)).streams.add({ name: 'kept', subjects: ['kept.>'] });
    await jetstream(before).publish('kept.1', 'hello');
    const lost = before.closed();
    await server.kill();
    await before.close();
    await lost;
    await server.restart();
    const after = await connect({ servers: server.url });
    expect((await (await jetstreamManager(after)).streams.info('kept')).state.messages).toBe(1);
    await after.close();
  });

  test('three of them replicate, name a leader, and have another one when it is gone', { timeout: 60_000 }, async () => {
    await using cluster = await startNatsCluster({ size: 3, binary });
    const connection = await connect({ servers: cluster.urls });
    const manager = await jetstreamManager(connection);
    const { config } = await manager.streams.add({ name: 'three', subjects: ['three.>'], num_replicas: 3 });
    expect(config.num_replicas).toBe(3);
    const first = await cluster.leaderOf('three');
    expect((await manager.streams.info('three')).cluster?.leader).toBe(first.name);
    await first.kill('SIGTERM');
    const second = await cluster.leaderOf('three');
    expect(second).not.toBe(first);
    const { port } = first;
    await first.restart();
    expect(first.port).toBe(port);
    await cluster.metaLeader();
    await connection.close();
  });
});

describe('the holding proxy', () => {
  let server: NatsServer;
  let watcher: NatsConnection;
  beforeAll(async () => {
    server = await startNatsServer({ binary: servers[0]?.binary });
    watcher = await connect({ servers: server.url });
  });
  afterAll(async () => {
    await watcher.close();
    await server.stop();
  });

  async function watch(subject: string): Promise<Subscription> {
    const subscription = watcher.subscribe(subject);
    await watcher.flush();
    return subscription;
  }

  test('lets everything through when nothing is asked of it', async () => {
    await using proxy = await HoldProxy.start(server.url);
    const connection = await connect({ servers: proxy.url, ignoreClusterUpdates: true });
    const subscription = connection.subscribe('through');
    await connection.flush();
    watcher.publish('through', 'x'.repeat(1_000_000));
    expect((await next(subscription)).length).toBe(1_000_000);
    expect([proxy.connections, proxy.held('toServer'), proxy.held('toClient')]).toEqual([1, 0, 0]);
    await connection.close();
    await expect.poll(() => proxy.connections).toBe(0);
  });

  test.each(['end', 'resetAndDestroy'] as const)('delivers what was held after its sender has gone (%s)', async (goes) => {
    await using proxy = await HoldProxy.start(server.url);
    const subscription = await watch('late');
    const client = await rawClient(proxy.port);
    proxy.hold('toServer');
    const bytes = 'PUB late 5\r\nhello\r\n';
    client.write(bytes);
    await proxy.whenHeld('toServer', bytes.length);
    client[goes]();
    await (goes === 'end' ? once(client, 'finish') : closed(client));
    await watcher.flush();
    expect(subscription.getReceived()).toBe(0);
    expect(proxy.held('toServer')).toBe(bytes.length);
    proxy.release();
    expect(await next(subscription)).toBe('hello');
    expect(proxy.held('toServer')).toBe(0);
    await expect.poll(() => proxy.connections).toBe(0);
  });

  test('keeps its order when more comes while it holds, and holds one direction only', async () => {
    await using proxy = await HoldProxy.start(server.url);
    const subscription = await watch('order');
    const client = await rawClient(proxy.port);
    client.write('SUB down 1\r\nPING\r\n');
    await once(client, 'data');
    proxy.hold('toServer');
    client.write('PUB order 1\r\n1\r\n');
    await proxy.whenHeld('toServer', 1);
    watcher.publish('down', 'seen');
    expect(String(await once(client, 'data'))).toContain('seen');
    client.write('PUB order 1\r\n2\r\n');
    proxy.release('toServer');
    const received = [];
    for await (const message of subscription) if (received.push(message.string()) === 2) break;
    expect(received).toEqual(['1', '2']);
    client.destroy();
  });

  test('holding both directions is a black hole, for connections that come as well', async () => {
    await using proxy = await HoldProxy.start(server.url);
    proxy.hold();
    await expect(connect({ servers: proxy.url, timeout: 100, reconnect: false })).rejects.toThrow(/timeout/i);
    const client = dial(proxy.port, '127.0.0.1');
    await once(client, 'connect');
    await proxy.whenHeld('toClient', 1);
    const info = once(client, 'data');
    proxy.release();
    expect(String(await info)).toMatch(/^INFO /);
    client.destroy();
  });

  test('cut resets the connections, and a client that redials is served again', async () => {
    await using proxy = await HoldProxy.start(server.url);
    const connection = await connect({ servers: proxy.url, ignoreClusterUpdates: true, reconnectTimeWait: 10 });
    const events: string[] = [];
    const reconnected = (async () => {
      for await (const { type } of connection.status()) {
        events.push(type);
        if (type === 'reconnect') return;
      }
    })();
    proxy.cut();
    await reconnected;
    expect(events).toContain('disconnect');
    await connection.flush();
    await connection.close();
  });

  test('cutting the clients only still delivers what they had sent; cutting both loses it', async () => {
    await using proxy = await HoldProxy.start(server.url);
    const subscription = await watch('cut.*');
    for (const side of ['both', 'client'] as const) {
      const client = await rawClient(proxy.port);
      const gone = closed(client);
      proxy.hold('toServer');
      client.write(`PUB cut.${side} 1\r\n1\r\n`);
      await proxy.whenHeld('toServer', 1);
      proxy.cut(side);
      await gone;
      proxy.release();
    }
    for await (const message of subscription) {
      expect(message.subject).toBe('cut.client');
      break;
    }
  });

  test('refuses connections while it shall, and leaves those that are there', async () => {
    await using proxy = await HoldProxy.start(server.url);
    const client = await rawClient(proxy.port);
    proxy.refuse(true);
    await expect(connect({ servers: proxy.url, reconnect: false })).rejects.toThrow();
    client.write('PING\r\n');
    expect(String(await once(client, 'data'))).toContain('PONG');
    proxy.refuse(false);
    (await rawClient(proxy.port)).destroy();
    client.destroy();
  });

  test('a delay is felt in both directions, and order is kept', async () => {
    await using proxy = await HoldProxy.start(server.url);
    const connection = await connect({ servers: proxy.url, ignoreClusterUpdates: true });
    proxy.delay(30);
    expect(await connection.rtt()).toBeGreaterThanOrEqual(60);
    const subscription = await watch('delayed');
    connection.publish('delayed', '1');
    await connection.flush();
    proxy.delay(0);
    connection.publish('delayed', '2');
    const received = [];
    for await (const message of subscription) if (received.push(message.string()) === 2) break;
    expect(received).toEqual(['1', '2']);
    await connection.close();
  });

  test('a server that is down is a connection that ends at once', async () => {
    await using gone = await startNatsServer({ binary: server.binary });
    await using proxy = await HoldProxy.start(gone.url);
    await gone.kill();
    const client = dial(proxy.port, '127.0.0.1');
    client.on('error', () => undefined);
    await closed(client);
    await gone.restart();
    (await rawClient(proxy.port)).destroy();
  });
});
