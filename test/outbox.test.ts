import { jetstreamManager } from '@nats-io/jetstream';
import { connect as connectRaw } from '@nats-io/transport-node';
import { type ActorDefinition, connect, defineActor, memory, type NodeOptions, startNode } from '@perkey/core';
import { jetstream, nats } from '@perkey/nats';
import { startNatsServer } from '@perkey/nats/dev';
import { sqlite } from '@perkey/sqlite';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { testServers } from './support/newest-server.ts';

const Order = defineActor('order', {
  place: { input: z.object({ items: z.array(z.int()) }) },
  remind: { input: z.object({ inMs: z.number() }) },
  ring: {},
  rung: { output: z.int(), readonly: true },
});
const Stock = defineActor('stock', { take: { input: z.int() }, taken: { output: z.array(z.int()), readonly: true } });

const order = Order.host({
  state: () => ({ rung: 0 }),
  persist: 'state',
  place(ctx, { items }) {
    for (const item of items) {
      ctx.outbox.publish('orders.placed', { item, big: 10n }, { shop: 'north' });
      ctx.outbox.publish('news.placed', item);
      ctx.outbox.actor(Stock, 'all').take(item);
    }
  },
  remind: (ctx, { inMs }) => ctx.reminders.set('ring', { at: Date.now() + inMs }, { method: 'ring' }),
  ring(ctx) {
    ctx.state.rung += 1;
  },
  rung: (ctx) => ctx.state.rung,
});
const stock = Stock.host({
  state: () => ({ taken: [] as number[] }),
  persist: 'state',
  take: (ctx, item) => void ctx.state.taken.push(item),
  taken: (ctx) => ctx.state.taken,
});
const actors: readonly ActorDefinition[] = [order, stock];

async function until(holds: () => Promise<boolean> | boolean): Promise<void> {
  for (const giveUpAt = performance.now() + 20_000; !(await holds()); await delay(20)) {
    if (performance.now() > giveUpAt) throw new Error('waited 20 s in vain');
  }
}

test.each(await testServers())(
  'over $name: a stream keeps each message once, subscribers and actors get them, and who comes next goes on',
  async ({ binary }) => {
    await using server = await startNatsServer({ binary });
    const raw = await connectRaw({ servers: server.url });
    const heard: number[] = [];
    raw.subscribe('news.placed', { callback: (_error, message) => void heard.push(message.json()) });
    const streams = await jetstreamManager(raw);
    await streams.streams.add({ name: 'orders', subjects: ['orders.>'] });
    const kept = async (): Promise<number> => (await streams.streams.info('orders')).state.messages;
    const options = {
      cluster: 'outbox',
      actors,
      shards: 4,
      transport: nats({ servers: server.url }),
      store: jetstream({ servers: server.url }),
    };
    const first = await startNode({ ...options, env: {} });
    await first.actor(Order, 'a').place({ items: [1, 2, 3] });
    await until(async () => (await kept()) === 3 && heard.length === 3);
    await first.actor(Order, 'a').remind({ inMs: 1_500 });
    await first.actor(Order, 'a').place({ items: [4, 5] });
    await first.stop();
    const second = await startNode({ ...options, env: {} });
    try {
      await until(async () => (await kept()) === 5);
      const found: unknown[] = [];
      const ids = new Set<string>();
      for (let sequence = 1; sequence <= 5; sequence += 1) {
        const message = await streams.streams.getMessage('orders', { seq: sequence });
        found.push(message?.json());
        ids.add(message?.header.get('Nats-Msg-Id') ?? '');
        expect(message?.header.get('shop')).toBe('north');
      }
      expect(found).toEqual([1, 2, 3, 4, 5].map((item) => ({ item, big: '10' })));
      expect(ids.size).toBe(5);
      await until(async () => (await second.actor(Stock, 'all').taken()).length === 5);
      expect(await second.actor(Stock, 'all').taken()).toEqual([1, 2, 3, 4, 5]);
      expect([...new Set(heard)]).toEqual([1, 2, 3, 4, 5]);
      await until(async () => (await second.actor(Order, 'a').rung()) === 1);
    } finally {
      await second.stop();
      await raw.close();
    }
  },
  60_000,
);

test('over a file: what waits when its node stops goes on when the file is opened again, without a call', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'perkey-outbox-'));
  try {
    const options = (hosted: readonly ActorDefinition[]): NodeOptions => ({
      ...{ cluster: 'outbox', transport: memory(), shards: 4, actors: hosted, env: {}, outboxTimeoutMs: 200, wakeBackoffMaxMs: 200 },
      store: sqlite({ path: join(folder, 'store.db') }),
    });
    const first = await startNode(options([order]));
    await first.actor(Order, 'a').place({ items: [7, 8] });
    await first.stop();
    const transport = memory();
    const second = await startNode({ ...options(actors), transport });
    const client = await connect({ cluster: 'outbox', transport, env: {} });
    await until(async () => (await client.actor(Stock, 'all').taken()).length === 2);
    expect(await client.actor(Stock, 'all').taken()).toEqual([7, 8]);
    expect(await second.deadMessages()).toEqual([]);
    await client.close();
    await second.stop();
  } finally {
    await rm(folder, { recursive: true });
  }
}, 60_000);
