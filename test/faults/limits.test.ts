import { connect, defineActor, type NodeOptions, type PerkeyError, startNode } from '@perkey/core';
import { shardOf } from '@perkey/core/internal';
import { nats } from '@perkey/nats';
import { startNatsServer } from '@perkey/nats/dev';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { environmentOf, Links, LogKeeper } from '../nats-fixture.ts';
import { Box, counted, LiveNode, Narrow, Stuck } from './support/live-node.ts';
import { requestFrame } from './support/raw-frames.ts';

type Server = Awaited<ReturnType<typeof startNatsServer>>;

const maxPayload = 65_536;
let server: Server;
beforeAll(async () => {
  server = await startNatsServer({ config: `max_payload: ${maxPayload}` });
});
afterAll(() => server.stop());

const refused = (code: string, executed: string): object => expect.objectContaining({ code, executed }) as object;
const plain = defineActor('plain', { get: {} }).host({ state: () => ({}), get: () => {} });

describe('sizes', () => {
  test.each(['below payloadBytesMax', 'above payloadBytesMax'])(
    'a request over the limit of the server, %s, is refused before it is sent',
    async (which) => {
      await using live = await LiveNode.start(server.url);
      const text = 'x'.repeat(which.startsWith('below') ? maxPayload : 300_000);
      const others = Array.from({ length: 50 }, () => live.client.actor(Box, 'other').put({ amount: 1 }));
      const since = performance.now();
      await expect(live.client.actor(Box, 'k').swallow(text)).rejects.toEqual(refused('payload.too_large', 'no'));
      expect(performance.now() - since).toBeLessThan(500);
      expect(await Promise.all(others)).toHaveLength(50);
      expect(() => live.client.notifyActor(Box, 'k').swallow(text)).toThrow(refused('payload.too_large', 'no'));
      expect(await live.client.actor(Box, 'k').swallow('x'.repeat(maxPayload - 5_000))).toBe(maxPayload - 5_000);
      await live.alive();
    },
  );

  test('a reply over the limit of the server is told to its caller at once, as executed', async () => {
    await using live = await LiveNode.start(server.url);
    const others = Array.from({ length: 50 }, () => live.client.actor(Box, 'other').put({ amount: 1 }));
    for (const bytes of [maxPayload, 1_000_000, 20_000_000]) {
      const since = performance.now();
      await expect(live.client.actor(Box, 'k').produce({ bytes })).rejects.toEqual(refused('reply.too_large', 'yes'));
      expect(performance.now() - since).toBeLessThan(1_000);
      const answer = await live.call('box.produce', JSON.stringify({ key: 'k', input: { bytes } }));
      expect(answer.json()).toMatchObject({ code: 'reply.too_large', executed: 'yes' });
    }
    expect(await Promise.all(others)).toHaveLength(50);
    expect(await live.client.actor(Box, 'k').produce({ bytes: maxPayload - 5_000 })).toHaveLength(maxPayload - 5_000);
    await live.alive();
  });
});

describe('actors that do not come to an end', () => {
  test('a full mailbox refuses at once with a hint when to come back', async () => {
    await using live = await LiveNode.start(server.url);
    const busy = live.client.actor(Narrow, 'busy');
    const first = busy.block();
    const waiting = Array.from({ length: 10 }, () =>
      busy.ping().then(
        () => 'ok',
        (error: PerkeyError) => error,
      ),
    );
    const answers = await Promise.race([Promise.all(waiting.slice(-7)), first.then(() => [])]);
    for (const answer of answers)
      expect(answer).toMatchObject({ code: 'mailbox.full', executed: 'no', retryAfterMs: expect.any(Number) as number });
    expect(await live.client.actor(Narrow, 'idle').ping()).toBeUndefined();
    expect((await live.call('narrow.ping', '{"key":"busy"}')).json()).toMatchObject({
      code: 'mailbox.full',
      retryAfterMs: expect.any(Number) as number,
    });
    live.release();
    await first;
    expect(await Promise.all(waiting.slice(0, 3))).toEqual(['ok', 'ok', 'ok']);
    expect(await busy.ping()).toBeUndefined();
  });

  test('a turn that never settles is given up at its time limit; its actor is shut off, and all others go on', async () => {
    await using live = await LiveNode.start(server.url);
    const stuck = live.client.actor(Stuck, 'stuck');
    const since = performance.now();
    const behind = stuck.hang().then(undefined, (error: PerkeyError) => error);
    const waiting = stuck.ping().then(undefined, (error: PerkeyError) => error);
    expect(await behind).toEqual(refused('turn.timeout', 'unknown'));
    expect(performance.now() - since).toBeLessThan(1_000);
    expect(await waiting).toEqual(refused('actor.quarantined', 'no'));
    const later = performance.now();
    await expect(stuck.ping()).rejects.toEqual(refused('actor.quarantined', 'no'));
    expect(performance.now() - later).toBeLessThan(500);
    expect(await live.client.actor(Stuck, 'other').ping()).toBeUndefined();
    expect(live.node.inspect()?.actors).toMatchObject({ quarantined: 1 });
    expect(live.node.state).toBe('active');
    await live.alive();
  });
});

describe('nodes that do not fit the cluster', () => {
  const start = (cluster: string, options: Partial<NodeOptions> = {}): ReturnType<typeof startNode> =>
    startNode({ cluster, nodeId: 'n2', transport: nats({ servers: server.url }), actors: [plain], ...options });

  test('another number of shards, a taken id, an actor type twice', async () => {
    await using live = await LiveNode.start(server.url);
    await expect(start(live.cluster, { shards: 64 })).rejects.toThrow(
      expect.objectContaining({
        code: 'cluster.shards_mismatch',
        details: { cluster: 256, node: 64 },
        message: expect.stringMatching(/256.*64/) as string,
      }) as Error,
    );
    await expect(start(live.cluster, { nodeId: 'n1', onDuplicateId: 'exit' })).rejects.toEqual(refused('node.duplicate_id', 'no'));
    await expect(start(live.cluster, { actors: [plain, plain] })).rejects.toThrow(
      expect.objectContaining({ code: 'actor.duplicate_type', details: { type: 'plain' } }) as Error,
    );
    await live.alive();
  });

  test('a cluster of another protocol version, and a request with a flag that must not be ignored', async () => {
    await using live = await LiveNode.start(server.url);
    await using links = new Links();
    const { link } = await links.control({ servers: server.url }, environmentOf({ cluster: live.cluster }));
    const shard = shardOf('k', 256);
    const { epoch } = JSON.parse((await link.shards.read(`shard.${shard}`))?.value ?? '') as { epoch: number };
    const inbox = `perkey.${live.cluster}.reply.stranger`;
    const { promise, resolve } = Promise.withResolvers<string>();
    live.raw.subscribe(inbox, { max: 1, callback: (_, message) => resolve(message.string()) });
    live.raw.publish(live.nodeSubject, requestFrame({ shard, epoch, flags: 0x0100 }), { reply: `${inbox}.1` });
    expect(await promise).toContain('protocol.unsupported');

    const found = await link.shards.read('cluster');
    const { applied } = await link.shards.write('cluster', JSON.stringify({ shards: 256, protocol: 7 }), found?.revision ?? 0);
    expect(applied).toBe(true);
    await expect(start(live.cluster)).rejects.toThrow(
      expect.objectContaining({ code: 'protocol.unsupported', details: { theirs: 7, ours: 1 } }) as Error,
    );
    await live.alive();
    expect(counted(live.node.metrics, 'perkey_cluster_bad_frames_total')).toBe(1);
  });
});

describe('servers that are not as they should be', () => {
  test('a server that is down: both keep trying, say so, and give up with its name', async () => {
    const transport = nats({ servers: 'nats://127.0.0.1:1' });
    const log = new LogKeeper();
    const since = performance.now();
    const node = startNode({ cluster: 'c', transport, actors: [plain], connectTimeoutMs: 3_600, log });
    const client = connect({ cluster: 'c', transport, connectTimeoutMs: 1_000 });
    await expect(client).rejects.toThrow(
      expect.objectContaining({
        code: 'transport.connect_timeout',
        executed: 'no',
        message: expect.stringContaining('127.0.0.1:1 ') as string,
      }) as Error,
    );
    expect(performance.now() - since).toBeGreaterThanOrEqual(990);
    await expect(node).rejects.toThrow(
      expect.objectContaining({
        code: 'transport.connect_timeout',
        message: expect.stringMatching(/127\.0\.0\.1:1 .*3600 ms.*ECONNREFUSED/) as string,
      }) as Error,
    );
    expect(performance.now() - since).toBeGreaterThanOrEqual(3_590);
    expect(performance.now() - since).toBeLessThan(4_600);
    expect(log.with('NATS is not reachable yet; still trying')).toHaveLength(1);
  });

  test('a server that comes up later is joined then', async () => {
    await using late = await startNatsServer();
    await late.kill();
    const starting = startNode({ cluster: 'c', transport: nats({ servers: late.url }), actors: [plain], log: new LogKeeper() });
    const connecting = connect({ cluster: 'c', transport: nats({ servers: late.url }) });
    await late.restart();
    await using node = await starting;
    await using client = await connecting;
    expect(node.state).toBe('active');
    expect(await client.request('plain', 'get', 'k', undefined)).toBeUndefined();
  });

  test('a server without JetStream is named, with the flag to add', async () => {
    await using bare = await startNatsServer({ jetstream: false });
    const since = performance.now();
    await expect(startNode({ cluster: 'c', transport: nats({ servers: bare.url }), actors: [plain] })).rejects.toThrow(
      expect.objectContaining({
        code: 'transport.no_jetstream',
        message: expect.stringMatching(new RegExp(`127\\.0\\.0\\.1:${bare.port} runs without JetStream.*-js`)) as string,
      }) as Error,
    );
    expect(performance.now() - since).toBeLessThan(1_000);
  });
});
