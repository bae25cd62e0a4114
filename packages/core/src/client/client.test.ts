import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineActor } from '../actor/definition.ts';
import { PerkeyError } from '../base/errors.ts';
import { MetricsRegistry } from '../base/metrics-registry.ts';
import { seededRandom } from '../base/random.ts';
import { encodeControlFrame, frameKind } from '../cluster/frame.ts';
import { type Node, type NodeOptions, startNode } from '../cluster/node.ts';
import { type DataLink, plainVia, type Transport } from '../contract/transport.ts';
import { memory, type MemoryHub, memoryHub } from '../memory/memory-hub.ts';
import { VirtualClock } from '../testkit/virtual-clock.ts';
import { type CallMiddleware, type Client, type ClientOptions, connect } from './client.ts';

const Counter = defineActor('counter', {
  add: { input: z.object({ amount: z.int().default(1) }), output: z.int() },
  get: { output: z.int(), readonly: true },
  never: {},
});
const counter = Counter.host({
  state: () => ({ value: 0 }),
  add: (ctx, { amount }) => (ctx.state.value += amount),
  get: (ctx) => ctx.state.value,
  never: () => new Promise<undefined>(() => {}),
});
const keys = Array.from({ length: 20 }, (_, i) => `k${i}`);

/** What the client does not get, and what it sent. */
interface Tap {
  /** Kinds of frames that are lost on the way to the client. */
  readonly lost: Set<number>;
  readonly sent: Uint8Array[];
  link: DataLink | undefined;
  push: (frame: Uint8Array) => void;
}

function world() {
  const clock = new VirtualClock();
  const hub: MemoryHub = memoryHub();
  const tap: Tap = { lost: new Set(), sent: [], link: undefined, push: () => {} };
  const inner = memory(hub);
  const tapped: Transport = {
    ...inner,
    async openData(role, events, environment) {
      tap.push = (frame) => events.onFrame(frame, '', plainVia.reply);
      const onFrame: typeof events.onFrame = (frame, ...more) => {
        if (!tap.lost.has(frame[3] as number)) events.onFrame(frame, ...more);
      };
      const link = await inner.openData(role, { ...events, onFrame }, environment);
      const { send } = link;
      link.send = (to, frame, token) => {
        tap.sent.push(frame);
        return send.call(link, to, frame, token);
      };
      tap.link = link;
      return link;
    },
  };
  let nodes = 0;
  const node = (options: Partial<NodeOptions> = {}): Promise<Node> => {
    nodes += 1;
    const random = seededRandom(nodes);
    return clock.run(
      startNode({
        ...{
          cluster: 'test',
          nodeId: `n${nodes}`,
          shards: 8,
          transport: memory(hub),
          actors: [counter],
          clock: clock.fork(),
          random,
          env: {},
        },
        ...options,
      }),
    );
  };
  const options = (more: Partial<ClientOptions> = {}): ClientOptions => ({
    ...{ cluster: 'test', transport: tapped, clock, random: seededRandom(99), env: {} },
    ...more,
  });
  const client = (more: Partial<ClientOptions> = {}): Promise<Client> => clock.run(connect(options(more)));
  const addAll = (to: Client): Promise<number[]> => clock.run(Promise.all(keys.map((key) => to.actor(Counter, key).add())));
  const asks = (): number => tap.sent.filter((frame) => frame[3] === frameKind.topologyAsk).length;
  return { clock, hub, tap, node, options, client, addAll, asks };
}

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'ok',
    (error: unknown) => (error instanceof PerkeyError ? `${error.code} ${error.executed}` : String(error)),
  );

test('a client that connects before any node waits for the first one, and asks with patience', async () => {
  const { clock, node, client, addAll, asks } = world();
  const started = clock.now();
  const early = await client();
  expect(clock.now() - started).toBeLessThan(100);
  expect(early.reachability()).toEqual({ connected: true, shards: 0, reachable: 0 });
  const call = early.actor(Counter, 'k0').add();
  await clock.advance(8_000);
  expect(asks()).toBeLessThan(20);
  await node();
  expect(await clock.run(call)).toBe(1);
  expect(await addAll(early)).toEqual(keys.map((key) => (key === 'k0' ? 2 : 1)));
  expect(early.reachability()).toEqual({ connected: true, shards: 8, reachable: 8 });
  await clock.run(early.close());
});

test('a call that no node ever takes ends at its deadline as not executed', async () => {
  const { clock, client } = world();
  const alone = await client();
  expect(await clock.run(codeOf(alone.actor(Counter, 'k').add({}, { timeoutMs: 500 })))).toBe('shard.no_owner no');
  await clock.run(alone.close());
});

test('an answer about the cluster that is lost delays connecting for a second, and calls hardly longer', async () => {
  const { clock, tap, node, client, addAll } = world();
  await node();
  tap.lost.add(frameKind.topology);
  const started = clock.now();
  const deaf = await client();
  expect(clock.now() - started).toBe(1_000);
  const calls = addAll(deaf);
  tap.lost.clear();
  expect(await calls).toEqual(keys.map(() => 1));
  expect(clock.now() - started).toBeLessThan(2_100);
  await clock.run(deaf.close());
});

test('a client that hears no news at all still finds shards that moved', async () => {
  const { clock, tap, node, client, addAll } = world();
  const first = await node();
  const deaf = await client();
  await addAll(deaf);
  tap.lost.add(frameKind.topology);
  const second = await node();
  await clock.advance(1_000);
  expect(second.inspect()?.shardsOwned).toBe(4);
  expect(await addAll(deaf)).toEqual(keys.map(() => 2));
  await clock.run(first.stop());
  tap.lost.clear();
  expect(await addAll(deaf)).toEqual(keys.map(() => 3));
  await clock.run(deaf.close());
  await clock.run(second.stop());
});

test('calls to a node that died while news were lost end or go on as soon as the client asks', async () => {
  const { clock, hub, tap, node, client } = world();
  const nodeClock = clock.fork();
  await node({ clock: nodeClock });
  const other = await node();
  await clock.advance(1_000);
  const deaf = await client();
  tap.lost.add(frameKind.topology);
  const stuck = keys.map((key) => codeOf(deaf.actor(Counter, key).never({ timeoutMs: 60_000 })));
  await clock.settle();
  nodeClock.kill();
  await clock.until(() => other.inspect()?.shardsOwned === 8);
  const started = clock.now();
  tap.lost.clear();
  expect(await clock.run(Promise.race(stuck))).toBe('node.lost unknown');
  expect(clock.now() - started).toBeLessThan(5_500);
  expect(hub.services('test').length).toBeGreaterThan(0);
  await clock.run(deaf.close());
  expect(new Set(await Promise.all(stuck))).toEqual(new Set(['node.lost unknown', 'link.lost unknown']));
});

const former = [
  ['another node', 'n9', false],
  ['a later incarnation of the same node', 'n1', false],
  ['a later incarnation of the same node, which has stopped', 'n1', true],
] as const;
test.each(former)(
  'after the records were lost a lower epoch counts as soon as nobody listens at the former owner, %s',
  async (_, nodeId, gone) => {
    const { clock, tap, node, client, addAll } = world();
    await node();
    const one = await client();
    const routes = Array.from({ length: 8 }, (__, shard) => [shard, 0, Number.MAX_SAFE_INTEGER]);
    const told = (isGone: boolean): Uint8Array =>
      encodeControlFrame(frameKind.topology, { shards: 8, nodes: [[nodeId, 'zzzzzzzz-x', isGone]], routes, types: ['counter'] });
    tap.push(told(false));
    if (gone) tap.push(told(true));
    expect(one.reachability().reachable).toBe(gone ? 0 : 8);
    const started = clock.now();
    expect(await addAll(one)).toEqual(keys.map(() => 1));
    expect(clock.now() - started).toBeLessThan(1_000);
    expect(one.reachability().reachable).toBe(8);
    await clock.run(one.close());
  },
);

test('what is no news is passed over and counted', async () => {
  const { clock, tap, node, client, addAll } = world();
  await node();
  const metrics = new MetricsRegistry();
  const one = await client({ metrics });
  const good = { shards: 8, nodes: [['n1', '1-a', false]], routes: [[0, 0, 1]], types: ['counter'] };
  const hostile: unknown[] = [
    ...[null, 5, [], {}, { ...good, shards: 0 }, { ...good, shards: 1e9 }, { ...good, shards: '8' }, { ...good, types: [1] }],
    ...[
      { ...good, nodes: [['..', '*', false]] },
      { ...good, nodes: [['n1', '1-a']] },
      { ...good, routes: [[0, 0]] },
    ],
    ...[
      { ...good, routes: [[-1, 0, 1]] },
      { ...good, routes: [[0, 0, 0.5]] },
      { ...good, routes: [[0, 0, Number.NaN]] },
    ],
  ];
  for (const news of hostile) tap.push(encodeControlFrame(frameKind.topology, news));
  // Well-formed, and of no use: a shard that is none, an owner that is not named, an epoch of long ago.
  for (const routes of [[[8_000, 0, 2 ** 50]], [[0, 7, 2 ** 50]], [[0, 0, 1]]]) {
    tap.push(encodeControlFrame(frameKind.topology, { ...good, shards: 16, routes }));
  }
  for (const kind of [frameKind.request, frameKind.handoff, frameKind.topologyAsk]) tap.push(encodeControlFrame(kind, good));
  for (const frame of [Uint8Array.of(), Uint8Array.of(1, 2, 3), Uint8Array.of(0x50, 0x4b, 9, 2)]) tap.push(frame);
  expect(await addAll(one)).toEqual(keys.map(() => 1));
  expect(one.reachability().shards).toBe(8);
  const bad = metrics.snapshot().find(({ name }) => name === 'perkey_cluster_bad_frames_total')?.series ?? [];
  const counts = Object.fromEntries(bad.map((series) => [series.labels['problem'], 'value' in series ? series.value : 0]));
  expect(counts).toEqual({ body: hostile.length, unexpected: 3, truncated: 2, version: 1 });
  await clock.run(one.close());
});

test('a client that is closed ends its calls, takes no more, and leaves no timer', async () => {
  const { clock, node, client, hub } = world();
  await node({ clock: clock.fork() });
  const own = clock.fork();
  const closing = await client({ clock: own, transport: memory(hub) });
  const sent = codeOf(closing.actor(Counter, 'k').never({ timeoutMs: 60_000 }));
  await clock.settle();
  const unsent = codeOf(closing.actor(Counter, 'k').add());
  const closed = closing.close();
  expect(closing.close()).toBe(closed);
  await clock.run(closed);
  expect([await sent, await unsent]).toEqual(['link.lost unknown', 'client.closed no']);
  expect(await codeOf(closing.actor(Counter, 'k').add())).toBe('client.closed no');
  expect(() => closing.notifyActor(Counter, 'k').add()).toThrow('closed');
  expect(own.pending).toBe(0);
});

test('connecting to a broker that is not there fails in time and leaves nothing behind', async () => {
  const { clock, hub, options } = world();
  hub.stop();
  expect(await clock.run(codeOf(connect(options({ connectTimeoutMs: 300 }))))).toBe('transport.connect_timeout no');
  expect(clock.pending).toBe(0);
});

test('a broker that goes away and comes back costs what was sent, and nothing else', async () => {
  const { clock, hub, node, client } = world();
  await node();
  const one = await client();
  const sent = codeOf(one.actor(Counter, 'k').never({ timeoutMs: 60_000 }));
  await clock.settle();
  hub.stop();
  const waiting = [one.actor(Counter, 'k3').add(), one.actor(Counter, 'k3').add()];
  await clock.advance(500);
  expect(await sent).toBe('link.lost unknown');
  hub.start();
  expect(await clock.run(Promise.all(waiting))).toEqual([1, 2]);
  await clock.run(one.close());
});

test('middleware sees each call from the outside in, may change it, and may refuse it in any way', async () => {
  const { clock, node, client } = world();
  await node();
  const seen: string[] = [];
  const named =
    (name: string): CallMiddleware =>
    async (call, next) => {
      seen.push(`${name} ${call.method}`);
      const value = await next({ ...call, options: { ...call.options, headers: { traceparent: '00-1' } } });
      seen.push(`${name} done`);
      return value;
    };
  const refusing: CallMiddleware = (call, next) => {
    if (call.key === 'forbidden') throw new PerkeyError('request.refused', 'not you');
    return next(call);
  };
  const one = await client({ middleware: [named('outer'), refusing, named('inner')] });
  expect(await clock.run(one.actor(Counter, 'k').add())).toBe(1);
  expect(seen).toEqual(['outer add', 'inner add', 'inner done', 'outer done']);
  expect(await clock.run(codeOf(one.actor(Counter, 'forbidden').add()))).toBe('request.refused no');
  await clock.run(one.close());
  const bare = await client({ middleware: [refusing] });
  expect(await codeOf(bare.request('counter', 'add', 'forbidden', {}))).toBe('request.refused no');
  await clock.run(bare.close());
});

test.each([
  [{ cluster: 'no spaces please' }],
  [{ cluster: '' }],
  [{ requestTimeoutMs: 0 }],
  [{ inFlightMax: 1.5 }],
  [{ keyBytesMax: 0 }],
  [{ callerName: '\ud800' }],
  [{ callerName: 'x'.repeat(300) }],
  [{ callerName: 5 as unknown as string }],
  [{ timeoutMs: 5 } as Partial<ClientOptions>],
])('options out of range are refused before anything is opened: %o', async (wrong) => {
  const { clock, options } = world();
  expect(await clock.run(codeOf(connect(options(wrong))))).toBe('options.invalid no');
  expect(clock.pending).toBe(0);
});

test('a type that nobody hosts, and a method that is none, are refused at once', async () => {
  const { clock, node, client } = world();
  await node();
  const one = await client();
  const started = clock.now();
  expect(await clock.run(codeOf(one.request('nothing', 'add', 'k', {})))).toBe('actor.unknown_type no');
  expect(await clock.run(codeOf(one.request('counter', 'nothing', 'k', {})))).toBe('method.unknown no');
  expect(clock.now() - started).toBeLessThan(20);
  await clock.run(one.close());
});

test('labels of metrics are made of declared contracts only', async () => {
  const { clock, node, client } = world();
  await node();
  const metrics = new MetricsRegistry();
  const one = await client({ metrics });
  await clock.run(one.actor(Counter, 'k').add());
  for (let i = 0; i < 50; i += 1) await clock.run(codeOf(one.request('counter', `made-up-${i}`, 'k', {})));
  const methods = metrics.snapshot().flatMap(({ series }) => series.map(({ labels }) => labels['method']));
  expect(new Set(methods.filter((method) => method !== undefined))).toEqual(new Set(['add', 'get', 'never', 'other']));
  await clock.run(one.close());
});
