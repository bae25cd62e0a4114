import { expect, test } from 'vitest';
import { silentLogger } from '../base/log.ts';
import { noMetrics } from '../base/metrics.ts';
import { seededRandom } from '../base/random.ts';
import type { Address, ControlLink, DataLink, LinkEnvironment, Transport } from '../contract/transport.ts';
import { memory, memoryHub } from '../memory/memory-hub.ts';
import { FaultyTransport } from './faulty-transport.ts';
import { VirtualClock } from './virtual-clock.ts';

interface Opened {
  readonly clock: VirtualClock;
  readonly data: DataLink;
  readonly control: ControlLink;
  readonly told: string[];
}

class World {
  readonly clock = new VirtualClock();
  readonly hub = memoryHub();
  readonly faults = new FaultyTransport(memory(this.hub), { clock: this.clock });

  environment(clock: VirtualClock): LinkEnvironment {
    return { cluster: 'demo', clock, random: seededRandom(1), log: silentLogger, metrics: noMetrics, connectTimeoutMs: 1_000 };
  }

  async node(nodeId: string, incarnation: string = 'i1'): Promise<Opened> {
    const clock = this.clock.fork();
    const told: string[] = [];
    const events = {
      onFrame: (frame: Uint8Array, from: Address) =>
        void told.push(`${new TextDecoder().decode(frame)} <- ${from === '' ? 'nowhere' : from.split('/')[2]}`),
      onUndeliverable: (token: number) => void told.push(`undeliverable ${token}`),
      onState: (up: boolean) => void told.push(up ? 'up' : 'down'),
    };
    const data = await this.clock.run(this.faults.openData({ kind: 'node', nodeId, incarnation }, events, this.environment(clock)));
    const onState = (up: boolean): void => void told.push(up ? 'control up' : 'control down');
    const control = await this.clock.run(this.faults.openControl(nodeId, { onState }, this.environment(clock)));
    told.length = 0;
    return { clock, data, control, told };
  }

  async send(from: Opened, to: Opened, text: string, token: number = 1): Promise<void> {
    expect(from.data.send(to.data.address, new TextEncoder().encode(text), token)).toBe(true);
    await this.clock.settle();
  }

  async pair(): Promise<readonly [Opened, Opened]> {
    return [await this.node('a'), await this.node('b')];
  }

  async outcome(promise: Promise<unknown>): Promise<unknown> {
    return this.clock.run(promise.catch((error: { code?: string }) => error.code));
  }
}

test('a cut loses frames in its direction only, and heals', async () => {
  const world = new World();
  const [a, b] = await world.pair();
  world.faults.of('a').cut({ direction: 'out' });
  await world.send(a, b, 'lost');
  await world.send(b, a, 'one way');
  world.faults.of('a').cut();
  await world.send(b, a, 'lost too');
  world.faults.of('a').heal();
  await world.send(a, b, 'back');
  expect([a.told, b.told]).toEqual([['one way <- b'], ['back <- a']]);
});

test('a cut that is noticed takes the links down until it heals', async () => {
  const world = new World();
  const [a, b] = await world.pair();
  world.faults.of('a').cut({ noticeAfterMs: 1_000 });
  await world.clock.advance(999);
  expect([a.data.up, a.told]).toEqual([true, []]);
  await world.clock.advance(1);
  expect([a.data.up, a.control.up, a.told]).toEqual([false, false, ['down', 'control down']]);
  await world.send(b, a, 'to nobody', 4);
  expect(b.told).toEqual(['undeliverable 4']);
  world.faults.of('a').heal();
  await world.clock.settle();
  expect(a.told.slice(2).toSorted()).toEqual(['control up', 'up']);
  await world.send(b, a, 'again');
  expect(a.told.at(-1)).toBe('again <- b');
});

test('a process that resets its link during a cut is down until it heals', async () => {
  const world = new World();
  const [a] = await world.pair();
  world.faults.of('a').cut({ direction: 'in' });
  a.data.reset();
  a.control.reset();
  await world.clock.advance(5_000);
  expect([a.data.up, a.control.up, a.told]).toEqual([false, false, ['down', 'control down']]);
  world.faults.of('a').heal();
  await world.clock.settle();
  expect([a.data.up, a.control.up]).toEqual([true, true]);
});

test('opening during a cut waits, and gives up with transport.connect_timeout', async () => {
  const world = new World();
  world.faults.of('a').cut();
  const role = { kind: 'node', nodeId: 'a', incarnation: 'i' } as const;
  const events = { onFrame: () => {}, onUndeliverable: () => {}, onState: () => {} };
  const open = (): Promise<DataLink> => world.faults.openData(role, events, world.environment(world.clock));
  expect(await world.outcome(open())).toBe('transport.connect_timeout');
  const opening = open();
  await world.clock.advance(900);
  world.faults.of('a').heal();
  expect((await world.clock.run(opening)).up).toBe(true);
  expect(world.clock.pending).toBe(0);
});

test('what is held is delivered in order once released, also from a process that died', async () => {
  const world = new World();
  const [a, b] = await world.pair();
  await world.send(a, b, 'first');
  world.faults.of('a').hold({ direction: 'out' });
  for (const text of ['held 1', 'held 2']) await world.send(a, b, text);
  a.clock.kill();
  world.faults.of('a').crash();
  await world.clock.advance(10_000);
  expect(b.told).toEqual(['first <- a']);
  world.faults.of('a').release();
  await world.clock.settle();
  expect(b.told).toEqual(['first <- a', 'held 1 <- a', 'held 2 <- a']);
  await world.send(b, a, 'to the dead', 3);
  expect(b.told.at(-1)).toBe('undeliverable 3');
});

test('frames that arrive while held ones are released do not overtake them', async () => {
  const world = new World();
  const [a, b] = await world.pair();
  world.faults.of('b').hold({ direction: 'in' });
  for (const text of ['1', '2']) await world.send(a, b, text);
  a.data.send(b.data.address, new TextEncoder().encode('3'), 1);
  world.faults.of('b').release();
  a.data.send(b.data.address, new TextEncoder().encode('4'), 1);
  await world.clock.settle();
  expect(b.told).toEqual(['1 <- a', '2 <- a', '3 <- a', '4 <- a']);
});

test('a crashed process hears nothing, is gone for the others, and its successor is not touched', async () => {
  const world = new World();
  const [a, b] = await world.pair();
  const write = a.control.shards.write('x', 'one', 0);
  let isSettled = false;
  void write.finally(() => (isSettled = true)).catch(() => {});
  a.clock.kill();
  world.faults.of('a').crash();
  await world.send(b, a, 'to the dead', 7);
  expect([a.told, b.told, isSettled]).toEqual([[], ['undeliverable 7'], false]);
  const again = await world.node('a', 'i2');
  await world.send(b, again, 'welcome');
  expect(again.told).toEqual(['welcome <- b']);
});

test('drops, delays and refusals of frames', async () => {
  const world = new World();
  const [a, b] = await world.pair();
  world.faults.of('a').dropNext(2);
  for (const text of ['1', '2', '3']) await world.send(a, b, text);
  expect(b.told.splice(0)).toEqual(['3 <- a']);
  world.faults.of('b').delay(50, { direction: 'in' });
  await world.send(a, b, 'late 1');
  await world.clock.advance(30);
  world.faults.of('b').delay(0);
  await world.send(a, b, 'late 2');
  expect(b.told).toEqual([]);
  await world.clock.advance(20);
  expect(b.told.splice(0)).toEqual(['late 1 <- a', 'late 2 <- a']);
  world.faults.of('b').refuseFrames();
  await world.send(a, b, 'refused', 9);
  expect(a.data.send(b.data.nodeAddress('b', 'i1'), new Uint8Array(1), 10)).toBe(true);
  await world.clock.settle();
  expect([a.told, b.told]).toEqual([['undeliverable 9', 'undeliverable 10'], []]);
});

test('a receiver that keeps the bytes of a frame finds them scrambled', async () => {
  const world = new World();
  const [a] = await world.pair();
  const kept: Uint8Array[] = [];
  const events = { onFrame: (frame: Uint8Array) => void kept.push(frame), onUndeliverable: () => {}, onState: () => {} };
  const link = await world.clock.run(world.faults.openData({ kind: 'client', clientId: 'c' }, events, world.environment(world.clock)));
  const sent = Uint8Array.of(1, 2, 3);
  a.data.send(link.address, sent, 1);
  await world.clock.settle();
  expect(kept.map((frame) => [...frame])).toEqual([[0xdb, 0xdb, 0xdb]]);
  expect(sent).toEqual(Uint8Array.of(1, 2, 3));
});

test('a store call over a cut link rejects after storeTimeoutMs; whether it was applied depends on the direction', async () => {
  const world = new World();
  const [a] = await world.pair();
  const { shards } = world.hub.cluster('demo');
  world.faults.of('a').cut({ direction: 'out' });
  const started = world.clock.now();
  expect(await world.outcome(a.control.shards.write('x', 'never sent', 0))).toBe('store.unavailable');
  expect(world.clock.now() - started).toBe(1_000);
  expect(shards.read('x')).toBeUndefined();
  world.faults.of('a').heal();
  world.faults.of('a').cut({ direction: 'in' });
  expect(await world.outcome(a.control.shards.write('x', 'never answered', 0))).toBe('store.unavailable');
  expect(shards.read('x')?.value).toBe('never answered');
});

test('a write that was held is decided by compare-and-set when it is released', async () => {
  const world = new World();
  const [a, b] = await world.pair();
  world.faults.of('a').hold();
  const late = world.outcome(a.control.shards.write('x', 'of a', 0));
  expect(await late).toBe('store.unavailable');
  expect(await world.clock.run(b.control.shards.write('x', 'of b', 0))).toMatchObject({ applied: true });
  const held = a.control.shards.write('y', 'of a, in time', 0);
  world.faults.of('a').release();
  expect(await world.clock.run(held)).toMatchObject({ applied: true });
  expect(world.hub.cluster('demo').shards.read('x')?.value).toBe('of b');
  expect(world.faults.history.entries.map(({ by, key, value }) => [by, key, value])).toEqual([
    ['b', 'x', 'of b'],
    ['a', 'y', 'of a, in time'],
  ]);
});

test('writes end as they were told to', async () => {
  const world = new World();
  const [a] = await world.pair();
  const { shards } = a.control;
  const faults = world.faults.of('a').shards;
  faults.nextWrites('unavailable');
  faults.nextWrites('refused');
  faults.nextWrites('applied-unavailable');
  faults.nextWrites('applied-refused');
  expect(await world.outcome(shards.write('x', '1', 0))).toBe('store.unavailable');
  expect(await world.outcome(shards.write('x', '2', 0))).toEqual({ applied: false });
  expect(await world.clock.run(shards.read('x'))).toBeUndefined();
  expect(await world.outcome(shards.write('x', '3', 0))).toBe('store.unavailable');
  expect(await world.outcome(shards.write('x', '4', 1))).toEqual({ applied: false });
  expect(await world.clock.run(shards.read('x'))).toMatchObject({ value: '4', revision: 2 });
  expect(await world.outcome(shards.write('x', '5', 2))).toEqual({ applied: true, revision: 3 });
  expect(world.faults.history.of('shards', 'x').map((entry) => entry.value)).toEqual(['3', '4', '5']);
});

test('an unavailable store and a slow one', async () => {
  const world = new World();
  const [a, b] = await world.pair();
  const faults = world.faults.of('a');
  faults.members.unavailable();
  expect(await world.outcome(a.control.members.read('x'))).toBe('store.unavailable');
  expect(await world.outcome(b.control.members.read('x'))).toBeUndefined();
  faults.heal();
  faults.members.slow(600);
  const started = world.clock.now();
  expect(await world.outcome(a.control.members.write('x', '1', 0))).toMatchObject({ applied: true });
  expect(world.clock.now() - started).toBe(600);
  faults.members.slow(3_000);
  expect(await world.outcome(a.control.members.write('x', '2', 1))).toBe('store.unavailable');
  expect(world.clock.now() - started).toBe(1_600);
  await world.clock.advance(500);
  expect(world.hub.cluster('demo').members.read('x')?.value).toBe('2');
});

test('stale reads see the past, writes do not', async () => {
  const world = new World();
  const [a, b] = await world.pair();
  await world.clock.run(b.control.shards.write('x', '1', 0));
  await world.clock.run(b.control.shards.write('gone', '1', 0));
  world.faults.of('a').shards.staleReads();
  await world.clock.run(b.control.shards.write('x', '2', 1));
  await world.clock.run(b.control.shards.forget('gone', 2));
  await world.clock.run(b.control.shards.write('new', '1', 0));
  expect(await world.clock.run(a.control.shards.read('x'))).toEqual({ key: 'x', value: '1', revision: 1 });
  expect(await world.clock.run(a.control.shards.read('gone'))).toMatchObject({ value: '1' });
  expect(await world.clock.run(a.control.shards.read('new'))).toBeUndefined();
  expect(await world.clock.run(a.control.shards.write('x', '3', 1))).toEqual({ applied: false });
  world.faults.of('a').heal();
  expect(await world.clock.run(a.control.shards.read('x'))).toMatchObject({ value: '2' });
});

test('watches can be held and delayed, and a cut only delays what they tell', async () => {
  const world = new World();
  const [a, b] = await world.pair();
  const told: string[] = [];
  await world.clock.run(
    a.control.shards.watch({ onRecord: (record) => void told.push(record.value), onSynced: () => void told.push('synced') }),
  );
  expect(told.splice(0)).toEqual(['synced']);
  const faults = world.faults.of('a');
  faults.shards.holdWatches();
  await world.clock.run(b.control.shards.write('x', '1', 0));
  expect(await world.clock.run(a.control.shards.read('x'))).toMatchObject({ value: '1' });
  expect(told).toEqual([]);
  faults.shards.delayWatches(100);
  faults.shards.releaseWatches();
  await world.clock.settle();
  expect(told.splice(0)).toEqual(['1']);
  await world.clock.run(b.control.shards.write('x', '2', 1));
  await world.clock.advance(99);
  expect(told).toEqual([]);
  await world.clock.advance(1);
  expect(told.splice(0)).toEqual(['2']);
  faults.shards.heal();
  faults.cut();
  await world.clock.run(b.control.shards.write('x', '3', 2));
  await world.clock.advance(5_000);
  expect(told).toEqual([]);
  faults.heal();
  await world.clock.settle();
  expect(told).toEqual(['3']);
});

test('after a lost connection watches start again, and serving foreign calls goes on', async () => {
  const world = new World();
  const [a, b] = await world.pair();
  const told: string[] = [];
  const watch = await world.clock.run(
    a.control.shards.watch({ onRecord: (record) => void told.push(record.value), onSynced: () => void told.push('synced') }),
  );
  await a.data.serveForeignCalls({ nodeId: 'a', version: '1', types: [{ type: 't', methods: ['m'] }] }, () => Promise.resolve('served'));
  world.faults.of('a').disconnect();
  await world.clock.run(b.control.shards.write('x', 'meanwhile', 0));
  await expect(world.hub.callJson('demo', { type: 't', method: 'm', key: 'k' })).rejects.toThrow(/no node offers/);
  world.faults.of('a').reconnect();
  await world.clock.settle();
  expect(told).toEqual(['synced', 'meanwhile', 'synced']);
  expect(await world.clock.run(world.hub.callJson('demo', { type: 't', method: 'm', key: 'k' }))).toBe('served');
  watch.stop();
  await world.clock.run(b.control.shards.write('x', 'unheard', 1));
  expect(told).toHaveLength(3);
});

test('healAll ends the faults of all', async () => {
  const world = new World();
  const [a, b] = await world.pair();
  world.faults.of('a').disconnect();
  world.faults.of('b').cut();
  world.faults.healAll();
  await world.clock.settle();
  await world.send(a, b, 'hello');
  expect(b.told).toEqual(['hello <- a']);
});

test('the same seed gives the same history, to the step', async () => {
  const play = async (seed: number): Promise<readonly string[]> => {
    const world = new World();
    const random = seededRandom(seed);
    const nodes = [await world.node('a'), await world.node('b'), await world.node('c')];
    const log: string[] = [];
    for (const [i, node] of nodes.entries()) {
      const tick = (): void => {
        const other = nodes[Math.floor(random.next() * 3)] ?? node;
        node.data.send(other.data.address, Uint8Array.of(97 + i), i);
        void node.control.shards.read('x').then((record) => {
          const write = node.control.shards.write('x', `${i}`, record?.revision ?? 0);
          return write.then((outcome) => log.push(`${i} ${JSON.stringify(outcome)} at ${world.clock.trueMs}`));
        });
        node.clock.setTimer(random.next() * 20, tick);
      };
      tick();
    }
    world.faults.of('b').delay(random.next() * 5);
    await world.clock.advance(500);
    return [...log, ...nodes.flatMap((node) => node.told)];
  };
  const first = await play(7);
  expect(first.length).toBeGreaterThan(200);
  expect(await play(7)).toEqual(first);
  expect(await play(8)).not.toEqual(first);
});

test('links that break while they are made anew are made anew once more', async () => {
  const world = new World();
  const quick = memory(world.hub);
  const soon = (): Promise<void> => new Promise((resolve) => void world.clock.setTimer(10, resolve));
  const slow: Transport = {
    name: 'slow',
    openData: (...args) => soon().then(() => quick.openData(...args)),
    openControl: (...args) => soon().then(() => quick.openControl(...args)),
  };
  const faults = new FaultyTransport(slow, { clock: world.clock });
  const onState = (): void => {};
  const control = await world.clock.run(faults.openControl('a', { onState }, world.environment(world.clock)));
  faults.of('a').breakLinks();
  await world.clock.advance(5);
  expect(control.up).toBe(false);
  faults.of('a').breakLinks();
  await world.clock.advance(1_000);
  expect(control.up).toBe(true);
  expect(await world.outcome(control.members.write('x', 'y', 0))).toMatchObject({ applied: true });
});
