import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineActor } from '../actor/definition.ts';
import { PerkeyError } from '../base/errors.ts';
import { seededRandom } from '../base/random.ts';
import type { Transport } from '../contract/transport.ts';
import { memory, memoryHub } from '../memory/memory-hub.ts';
import { TestCluster } from '../testkit/test-cluster.ts';
import { VirtualClock } from '../testkit/virtual-clock.ts';
import { type Node, type NodeOptions, startNode } from './node.ts';
import { memberKey, parseMember } from './records.ts';

const Counter = defineActor('counter', {
  add: { input: z.object({ amount: z.int().default(1) }), output: z.int() },
  get: { output: z.int(), readonly: true },
  slow: { input: z.int(), output: z.int() },
  relay: { input: z.string(), output: z.int() },
});
let release: (() => void)[] = [];
const counter = Counter.host({
  state: () => ({ value: 0 }),
  add: (ctx, { amount }) => (ctx.state.value += amount),
  get: (ctx) => ctx.state.value,
  slow: async (ctx, by) => {
    await new Promise<void>((resolve) => release.push(resolve));
    return (ctx.state.value += by);
  },
  relay: (ctx, key) => ctx.actor(Counter, key).add(),
});

const settings = { shards: 16 };
const keys = Array.from({ length: 24 }, (_, i) => `key-${i}`);
/** A cluster in which every node has its share of the shards. */
async function start(nodes: number): Promise<TestCluster> {
  const cluster = await TestCluster.start({ actors: [counter], nodes, settings });
  const share = Math.floor(settings.shards / nodes);
  const isShared = (_: unknown, i: number): boolean => (cluster.node(`node-${i}`).inspect()?.shardsOwned ?? 0) >= share;
  await cluster.clock.until(() => Array.from({ length: nodes }).every(isShared));
  await cluster.settled();
  return cluster;
}

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'ok',
    (error: unknown) => (error instanceof PerkeyError ? `${error.code} ${error.executed}` : String(error)),
  );

/** Calls to every key all the time; what each key's counter must be at the end, if no call was lost or executed twice. */
class Load {
  readonly expected = new Map<string, number>();
  readonly errors: string[] = [];
  readonly #under: Promise<void>[] = [];
  readonly #cluster: TestCluster;

  constructor(cluster: TestCluster) {
    this.#cluster = cluster;
  }

  /** Two calls per key at once, so that their order is put to the test too. */
  burst(nodes: readonly string[] = []): void {
    const callers = [this.#cluster.client, ...nodes.map((nodeId) => this.#cluster.node(nodeId))];
    for (const [i, key] of keys.entries()) {
      const caller = callers[i % callers.length]!;
      this.#under.push(this.#pair(key, caller.actor(Counter, key).add(), caller.actor(Counter, key).add()));
    }
  }

  async #pair(key: string, first: Promise<number>, second: Promise<number>): Promise<void> {
    try {
      const [one, two] = await Promise.all([first, second]);
      if (two <= one) this.errors.push(`${key}: ${two} after ${one}`);
      this.expected.set(key, (this.expected.get(key) ?? 0) + 2);
    } catch (error) {
      this.errors.push(`${key}: ${error instanceof PerkeyError ? error.code : String(error)}`);
    }
  }

  async during(what: () => Promise<unknown>, nodes: readonly string[] = []): Promise<void> {
    const state = { isDone: false };
    const done = what().finally(() => {
      state.isDone = true;
    });
    void done.catch(() => {});
    while (!state.isDone) {
      this.burst(nodes);
      await new Promise<void>((resolve) => this.#cluster.clock.setTimer(3, resolve));
    }
    await done;
  }

  async check(): Promise<void> {
    await this.#cluster.run(Promise.all(this.#under));
    expect(this.errors).toEqual([]);
    const values = await this.#cluster.run(Promise.all(keys.map((key) => this.#cluster.client.actor(Counter, key).get())));
    expect(values).toEqual(keys.map((key) => this.expected.get(key) ?? 0));
  }
}

test('under load, nodes that join and leave cost no call and no count, and keep the order of each caller', async () => {
  const cluster = await start(2);
  const load = new Load(cluster);
  const clock = cluster.clock.fork();
  const third = startNode({
    ...{
      ...settings,
      cluster: 'test',
      nodeId: 'late',
      actors: [counter],
      transport: cluster.transport,
      clock,
      random: seededRandom(5),
      env: {},
    },
  });
  await cluster.run(load.during(() => third, ['node-0']));
  const late = await third;
  await cluster.run(load.during(() => new Promise<void>((resolve) => cluster.clock.setTimer(400, resolve)), ['node-0', 'node-1']));
  expect(late.inspect()!.shardsOwned).toBeGreaterThan(3);
  await cluster.run(load.during(() => cluster.node('node-0').stop(), ['node-1']));
  await load.check();
  await cluster.run(load.during(() => late.stop()));
  await load.check();
  await cluster.stop();
}, 60_000);

test('a node that dies under load loses what it had and no call of the others; what may have run is told so', async () => {
  const cluster = await start(3);
  const load = new Load(cluster);
  load.burst();
  await cluster.advance(5);
  cluster.killNode('node-2');
  load.burst();
  await cluster.advance(4_000);
  const after = await cluster.run(Promise.all(keys.map((key) => codeOf(cluster.client.actor(Counter, key).add()))));
  expect(new Set(after)).toEqual(new Set(['ok']));
  expect(new Set(load.errors.map((error) => error.split(': ')[1]))).toEqual(new Set(load.errors.length > 0 ? ['node.lost'] : []));
  await cluster.stop();
});

test('a node that was evicted joins again as another incarnation; its calls under way end, later ones are served', async () => {
  const cluster = await start(2);
  release = [];
  const node = cluster.node('node-0');
  const { incarnation } = node;
  const mine = await keyOf(cluster, 'node-1');
  const under = codeOf(node.actor(Counter, mine).slow(1, { timeoutMs: 60_000 }));
  await cluster.advance(5);
  cluster.faults('node-0').cut({ noticeAfterMs: 100 });
  await cluster.clock.until(() => cluster.node('node-1').inspect()?.shardsOwned === 16);
  expect(await cluster.run(codeOf(node.actor(Counter, mine).add({}, { timeoutMs: 300 })))).toBe('shard.no_owner no');
  cluster.faults('node-0').heal();
  await cluster.clock.until(() => node.state === 'active' && node.incarnation !== incarnation);
  await cluster.settled();
  expect(await under).toMatch(/^(link|node)\.lost unknown$/);
  for (const done of release) done();
  // It was executed after all, on the node that was reached.
  expect(await cluster.run(node.actor(Counter, mine).get())).toBe(1);
  await cluster.clock.until(() => node.inspect()?.shardsOwned === 8);
  await cluster.stop();
});

test('while the node joins again its calls are refused as not executed', async () => {
  const cluster = await start(2);
  const node = cluster.node('node-0');
  cluster.faults('node-0').cut({ noticeAfterMs: 100 });
  await cluster.clock.until(() => cluster.node('node-1').inspect()?.shardsOwned === 16);
  cluster.faults('node-0').heal();
  cluster.faults('node-0').delay(100, { link: 'control' });
  await cluster.clock.until(() => node.state === 'joining');
  expect(await codeOf(node.actor(Counter, 'k').add())).toBe('node.suspended no');
  expect(() => node.notifyActor(Counter, 'k').add()).toThrow('joining');
  expect(node.inspect()).toBeUndefined();
  await cluster.clock.until(() => node.state === 'active');
  await cluster.stop();
});

test('a node that is stopped while it joins again stops, and stays stopped', async () => {
  const cluster = await start(2);
  const node = cluster.node('node-0');
  cluster.faults('node-0').cut({ noticeAfterMs: 100 });
  await cluster.clock.until(() => cluster.node('node-1').inspect()?.shardsOwned === 16);
  cluster.faults('node-0').heal();
  cluster.faults('node-0').delay(100, { link: 'control' });
  await cluster.clock.until(() => node.state === 'joining');
  await cluster.run(node.stop());
  expect(node.state).toBe('stopped');
  await cluster.run(node.stopped);
  await cluster.advance(10_000);
  expect([node.state, cluster.node('node-1').inspect()?.shardsOwned]).toEqual(['stopped', 16]);
  expect(await codeOf(node.actor(Counter, 'k').add())).toBe('client.closed no');
});

test('a connection that is lost and back within the lease: callers are told at once what was lost with it, and nothing moves', async () => {
  const cluster = await start(2);
  const [mine, theirs] = [await keyOf(cluster, 'node-0'), await keyOf(cluster, 'node-1')];
  const { incarnation } = cluster.node('node-0');
  cluster.faults('node-0').cut({ link: 'data', noticeAfterMs: 100 });
  const patient = { timeoutMs: 60_000 };
  const lost = [cluster.client, cluster.node('node-1')].map((caller) => codeOf(caller.actor(Counter, mine).add({}, patient)));
  const other = codeOf(cluster.client.actor(Counter, theirs).add({}, patient));
  await cluster.advance(150);
  cluster.faults('node-0').heal();
  await cluster.advance(1_000);
  const told = Promise.all([...lost, other]);
  const late = new Promise<string[]>((resolve) => cluster.clock.setTimer(1, () => resolve(['too late'])));
  expect(await cluster.run(Promise.race([told, late]))).toEqual(['link.lost unknown', 'link.lost unknown', 'ok']);
  expect(await cluster.run(codeOf(cluster.client.actor(Counter, mine).add()))).toBe('ok');
  expect(cluster.node('node-0').incarnation).toBe(incarnation);
  await cluster.stop();
});

test('a lease that lapses and comes back answers everything that waited', async () => {
  const cluster = await start(2);
  const mine = await keyOf(cluster, 'node-1');
  cluster.faults('node-0').cut({ link: 'control' });
  cluster.faults('node-1').cut({ link: 'control' });
  await cluster.advance(2_100);
  const waiting = [cluster.client.actor(Counter, mine).add(), cluster.client.request('counter', 'nothing', mine, {})].map(codeOf);
  const wrong = codeOf(cluster.client.actor(Counter, mine).add({ amount: 'x' as unknown as number }));
  await cluster.advance(500);
  cluster.faults('node-0').heal();
  cluster.faults('node-1').heal();
  const before = cluster.clock.trueMs;
  expect(await cluster.run(Promise.all([...waiting, wrong]))).toEqual(['ok', 'method.unknown no', 'input.invalid no']);
  expect(cluster.clock.trueMs - before).toBeLessThan(1_500);
  await cluster.stop();
});

/** A key whose actor the node hosts. */
async function keyOf(cluster: TestCluster, nodeId: string): Promise<string> {
  for (const key of keys) {
    await cluster.run(cluster.client.actor(Counter, key).get());
    if (cluster.node(nodeId).control(Counter, key)) return key;
  }
  throw new Error(`${nodeId} hosts none of the keys`);
}

function alone(transport: Transport = memory()) {
  const clock = new VirtualClock();
  const options = (more: Partial<NodeOptions> = {}): NodeOptions => ({
    ...{ cluster: 'test', nodeId: 'one', shards: 4, transport, actors: [counter], clock: clock.fork(), random: seededRandom(1), env: {} },
    ...more,
  });
  const node = (more: Partial<NodeOptions> = {}): Promise<Node> => clock.run(startNode(options(more)));
  return { clock, options, node };
}

test('a node that stops leaves no timer, says that it is gone, and can be started again at once', async () => {
  const hub = memoryHub();
  const { clock, node } = alone(memory(hub));
  for (let round = 0; round < 3; round += 1) {
    const own = clock.fork();
    const one = await node({ clock: own });
    await clock.until(() => one.inspect()?.shardsOwned === 4);
    expect(await clock.run(one.actor(Counter, 'k').add())).toBe(1);
    const started = clock.trueMs;
    await clock.run(one.stop());
    expect(clock.trueMs - started).toBeLessThan(100);
    expect(own.pending).toBe(0);
    const record = hub.cluster('test').members.read(memberKey('one'));
    expect(parseMember(record?.value ?? '')?.state).toBe('gone');
  }
});

test('a second node under a live id waits, and takes over when the first one leaves', async () => {
  const { clock, options, node } = alone();
  const first = await node();
  const second = startNode(options());
  await clock.advance(30_000);
  expect(first.state).toBe('active');
  await clock.run(first.stop());
  const heir = await clock.run(second);
  await clock.until(() => heir.inspect()?.shardsOwned === 4);
  expect(heir.incarnation).not.toBe(first.incarnation);
  await clock.run(heir.stop());
});

test('a second node under a live id gives up where it is told to, and leaves the first one alone', async () => {
  const { clock, options, node } = alone();
  const first = await node();
  const own = clock.fork();
  expect(await clock.run(codeOf(startNode(options({ onDuplicateId: 'exit', clock: own }))))).toBe('node.duplicate_id no');
  await clock.advance(5_000);
  expect([first.state, own.pending]).toEqual(['active', 0]);
  await clock.run(first.stop());
});

test('a node with another number of shards is refused with both numbers', async () => {
  const { clock, options, node } = alone();
  const first = await node();
  const refusal = clock.run(startNode(options({ nodeId: 'two', shards: 8 })));
  await expect(refusal).rejects.toMatchObject({ code: 'cluster.shards_mismatch', details: { cluster: 4, node: 8 } });
  await clock.run(first.stop());
});

test('two definitions of one type are refused before anything is opened', async () => {
  const { clock, options } = alone();
  expect(await codeOf(startNode(options({ actors: [counter, counter] })))).toBe('actor.duplicate_type no');
  expect(clock.pending).toBe(0);
});

test.each([
  [{ shards: 0 }],
  [{ shards: 20_000 }],
  [{ shards: 2.5 }],
  [{ leaseMs: 1_000, heartbeatMs: 400 }],
  [{ nodeId: 'a b' }],
  [{ nodeId: 'x'.repeat(65) }],
  [{ weight: 0 }],
  [{ drainMs: Number.NaN }],
  [{ onDuplicateId: 'steal' as 'wait' }],
  [{ unknown: 1 } as Partial<NodeOptions>],
])('options out of range are refused before anything is opened: %o', async (wrong) => {
  const { clock, options } = alone();
  expect(await codeOf(startNode(options(wrong)))).toBe('options.invalid no');
  expect(clock.pending).toBe(0);
});

test('a type that no node hosts is refused at once, for nodes too', async () => {
  const { clock, node } = alone();
  const one = await node();
  const started = clock.trueMs;
  expect(await clock.run(codeOf(one.request('nothing', 'add', 'k', {})))).toBe('actor.unknown_type no');
  expect(clock.trueMs - started).toBeLessThan(10);
  await clock.run(one.stop());
});

test('a start that fails at the last step takes its record back, so that the next one need not wait', async () => {
  const hub = memoryHub();
  const inner = memory(hub);
  const broken: Transport = {
    ...inner,
    async openData(...args) {
      const link = await inner.openData(...args);
      link.serveForeignCalls = () => Promise.reject(new PerkeyError('transport.refused', 'no service'));
      return link;
    },
  };
  const { clock, options, node } = alone(inner);
  const own = clock.fork();
  expect(await clock.run(codeOf(startNode(options({ transport: broken, clock: own }))))).toBe('transport.refused no');
  expect(own.pending).toBe(0);
  const started = clock.trueMs;
  const one = await node();
  expect(clock.trueMs - started).toBeLessThan(100);
  await clock.run(one.stop());
});

test('a node that is evicted in the midst of its start begins anew', async () => {
  const hub = memoryHub();
  const inner = memory(hub);
  let evictions = 0;
  const slow: Transport = {
    ...inner,
    async openData(role, events, environment) {
      if (role.kind === 'node' && evictions < 2) {
        evictions += 1;
        const key = memberKey('one');
        const found = hub.cluster('test').members.read(key)!;
        hub.cluster('test').members.write(key, JSON.stringify({ ...parseMember(found.value)!, state: 'gone' }), found.revision);
        await new Promise<void>((resolve) => environment.clock.setTimer(1_500, resolve));
      }
      return inner.openData(role, events, environment);
    },
  };
  const { clock, options } = alone();
  const one = await clock.run(startNode(options({ transport: slow })));
  await clock.until(() => one.inspect()?.shardsOwned === 4);
  expect([evictions, one.state]).toEqual([2, 'active']);
  expect(await clock.run(one.actor(Counter, 'k').add())).toBe(1);
  expect(hub.services('test')).toHaveLength(1);
  await clock.run(one.stop());
  expect(hub.services('test')).toHaveLength(0);
});

test('an actor that calls another one of its node runs to its end, whatever shards they have', async () => {
  const { clock, node } = alone();
  const one = await node();
  await clock.until(() => one.inspect()?.shardsOwned === 4);
  const values = await clock.run(Promise.all(keys.map((key, i) => one.actor(Counter, key).relay(keys[(i + 1) % keys.length]!))));
  expect(values).toEqual(keys.map(() => 1));
  await clock.run(one.stop());
});
