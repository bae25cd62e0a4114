import { expect, test } from 'vitest';
import { PerkeyError } from '../base/errors.ts';
import { silentLogger } from '../base/log.ts';
import { noMetrics } from '../base/metrics.ts';
import { seededRandom } from '../base/random.ts';
import type { Address, DataLink, LinkEnvironment } from '../contract/transport.ts';
import { transportSuite } from '../testkit/contract-suites/transport-suite.ts';
import { VirtualClock } from '../testkit/virtual-clock.ts';
import { memory, memoryHub } from './memory-hub.ts';
import type { MemoryHub } from './memory-hub.ts';

transportSuite({
  test,
  name: 'memory',
  open: () => {
    const hub = memoryHub();
    const outage = {
      begin: () => Promise.resolve(hub.stop()),
      end: () => Promise.resolve(hub.start()),
    };
    return Promise.resolve({
      transport: memory(hub),
      cluster: 'suite',
      outage,
      callJson: (call) => hub.callJson('suite', call),
      close: () => Promise.resolve(),
    });
  },
});

function environment(clock: VirtualClock): LinkEnvironment {
  return { cluster: 'demo', clock, random: seededRandom(1), log: silentLogger, metrics: noMetrics, connectTimeoutMs: 1_000 };
}

interface Opened {
  readonly link: DataLink;
  readonly told: string[];
}

async function open(clock: VirtualClock, hub: MemoryHub, id: string, kind: 'node' | 'client' = 'node'): Promise<Opened> {
  const told: string[] = [];
  const role = kind === 'node' ? ({ kind, nodeId: id, incarnation: 'i' } as const) : ({ kind, clientId: id } as const);
  const events = {
    onFrame: (frame: Uint8Array, from: Address) => void told.push(`${new TextDecoder().decode(frame)} from ${from}`),
    onUndeliverable: (token: number) => void told.push(`undeliverable ${token}`),
    onState: (up: boolean) => void told.push(up ? 'up' : 'down'),
  };
  const link = await clock.run(memory(hub).openData(role, events, environment(clock)));
  told.length = 0;
  return { link, told };
}

const hello = new TextEncoder().encode('hello');

test('delivery needs a turn of the event loop of the receiver, and no time', async () => {
  const clock = new VirtualClock();
  const hub = memoryHub();
  const [a, b] = [await open(clock, hub, 'a'), await open(clock, hub, 'b')];
  const started = clock.now();
  a.link.send(b.link.address, hello, 1);
  a.link.send('nobody', hello, 2);
  expect([a.told, b.told]).toEqual([[], []]);
  await clock.settle();
  expect(b.told).toEqual([`hello from ${a.link.address}`]);
  expect(a.told).toEqual(['undeliverable 2']);
  expect(clock.now()).toBe(started);
});

test('a frozen process gets what was sent to it when it goes on, a killed one never', async () => {
  const world = new VirtualClock();
  const hub = memoryHub();
  const [process1, process2] = [world.fork(), world.fork()];
  const sender = await open(world, hub, 'sender');
  const [frozen, killed] = [await open(process1, hub, 'frozen'), await open(process2, hub, 'killed')];
  process1.freeze();
  process2.kill();
  for (const { link } of [frozen, killed]) sender.link.send(link.address, hello, 1);
  await world.advance(10_000);
  expect([frozen.told, killed.told, sender.told]).toEqual([[], [], []]);
  process1.thaw();
  await world.settle();
  expect(frozen.told).toHaveLength(1);
});

test('nothing that arrived on a connection is delivered after it was lost', async () => {
  const clock = new VirtualClock();
  const hub = memoryHub();
  const [a, b] = [await open(clock, hub, 'a'), await open(clock, hub, 'b')];
  a.link.send(b.link.address, hello, 1);
  a.link.send('nobody', hello, 2);
  b.link.reset();
  a.link.reset();
  await clock.settle();
  expect([a.told, b.told]).toEqual([
    ['down', 'up'],
    ['down', 'up'],
  ]);
});

test('a callback that closes the link gets nothing more of the same batch', async () => {
  const clock = new VirtualClock();
  const hub = memoryHub();
  const sender = await open(clock, hub, 'sender');
  let frames = 0;
  const events = {
    onFrame: () => {
      frames += 1;
      void link.close();
    },
    onUndeliverable: () => {},
    onState: () => {},
  };
  const link = await clock.run(memory(hub).openData({ kind: 'client', clientId: 'c' }, events, environment(clock)));
  for (let i = 0; i < 3; i += 1) sender.link.send(link.address, hello, i);
  await clock.settle();
  expect(frames).toBe(1);
});

test('links redial when a stopped broker starts, on their own clocks', async () => {
  const world = new VirtualClock();
  const process = world.fork();
  const hub = memoryHub();
  const [a, b] = [await open(world, hub, 'a'), await open(process, hub, 'b', 'client')];
  hub.stop();
  expect([a.link.up, b.link.up]).toEqual([false, false]);
  await world.advance(3_000);
  expect([a.told, b.told]).toEqual([['down'], ['down']]);
  process.freeze();
  hub.start();
  await world.advance(1_000);
  expect([a.told, b.told]).toEqual([['down', 'up'], ['down']]);
  process.thaw();
  await world.settle();
  expect(b.told).toEqual(['down', 'up']);
});

test('opening gives up after connectTimeoutMs of the clock, and holds no timer otherwise', async () => {
  const clock = new VirtualClock();
  const hub = memoryHub();
  await open(clock, hub, 'a');
  expect(clock.pending).toBe(0);
  hub.stop();
  await clock.settle();
  const started = clock.now();
  await expect(open(clock, hub, 'b')).rejects.toThrow(expect.objectContaining({ code: 'transport.connect_timeout' }));
  expect(clock.now() - started).toBe(1_000);
  hub.start();
  await clock.settle();
  expect(hub.cluster('demo').route('node/b/i', hello, '')).toBe(false);
});

test('a foreign call fails with link.lost when the node loses its connection', async () => {
  const clock = new VirtualClock();
  const hub = memoryHub();
  const { link } = await open(clock, hub, 'a');
  const service = { nodeId: 'a', version: '1', types: [{ type: 'counter', methods: ['get'] }] };
  await link.serveForeignCalls(service, () => new Promise(() => {}));
  expect(hub.services('demo')).toEqual([service]);
  const call = hub.callJson('demo', { type: 'counter', method: 'get', key: 'k' });
  const outcome = expect(call).rejects.toThrow(expect.objectContaining({ code: 'link.lost', executed: 'unknown' }));
  await clock.settle();
  link.reset();
  expect(hub.services('demo')).toEqual([]);
  await outcome;
  await clock.settle();
  await expect(hub.callJson('demo', { type: 'counter', method: 'put', key: 'k' })).rejects.toThrow(PerkeyError);
});
