import { expect, test } from 'vitest';
import { seededRandom } from '../../base/random.ts';
import type { ActorFixture } from '../../testkit/actor-fixture.ts';
import { settled } from '../../testkit/accounts.ts';
import { CrashPoints } from '../../testkit/crash-points.ts';
import { DurableWorld } from '../../testkit/durable-fixture.ts';
import { errand, inbox } from '../../testkit/errands.ts';

const actors = [errand, inbox];
const durable = { wakeKeepMs: 1_000, wakeBackoffMs: 20, wakeBackoffMaxMs: 200 };

type Step = readonly [method: 'send' | 'remind' | 'cancel', input: unknown] | number;

/** What a client asks for, and how long it waits between. */
const steps: readonly Step[] = [
  ['send', { from: 1, count: 2 }],
  ['remind', { name: 'soon', at: Date.UTC(2025, 0, 1) + 600 }],
  1_000,
  ['send', { from: 3 }],
  ['remind', { name: 'never', at: Date.UTC(2025, 0, 1) + 40_000 }],
  ['cancel', 'never'],
  5_000,
  ['send', { from: 4, count: 2 }],
  500,
];

/** Numbers in the order in which they were published first; throws where a repeat came after a later number's acknowledgement was noted. */
function firstPublished(world: DurableWorld): readonly number[] {
  const seen = new Set<string>();
  return world.published.flatMap(({ id, data }) => {
    if (seen.has(id)) return [];
    seen.add(id);
    return [Number(new TextDecoder().decode(data))];
  });
}

type Late = 'never' | 'before' | 'during' | 'after';

/** Nobody calls the actor again: what is left to do is done by the node that comes next, because a record says so. */
async function runKilledAt(killAt: number, late: Late): Promise<readonly string[]> {
  const world = await DurableWorld.start();
  const points = new CrashPoints(killAt);
  const first = world.node(actors, { durable, through: (store) => points.store(store), publish: (inner) => points.publish(inner) });
  const acknowledged = new Set<string>();
  for (const step of steps) {
    if (typeof step === 'number') {
      await world.clock.advance(step);
      continue;
    }
    const [method, input] = step;
    const reply = { ok: () => acknowledged.add(JSON.stringify(step)), error: () => {} };
    first.ask('errand', 'a', method, input, points.request(reply));
    await world.clock.advance(100);
  }
  if (late === 'before') points.releaseLate();
  if (!points.isDead) world.lose(first);
  const second = world.node(actors, { durable });
  await world.clock.advance(20);
  if (late === 'during') points.releaseLate();
  await world.clock.advance(10_000);
  if (late === 'after') points.releaseLate();
  await world.clock.advance(120_000);
  const events = await world.events('errand', 'a');
  const sent = events.filter(([name]) => name === 'Sent').map(([, data]) => (data as { readonly n: number }).n);
  const rings = events.filter(([name]) => name === 'Rung').length;
  const where = `killed at ${killAt}, ${points.passed.at(-1)}, late ${late}`;
  expect(firstPublished(world), where).toEqual(sent);
  for (const step of steps) {
    if (typeof step === 'number' || !acknowledged.has(JSON.stringify(step)) || step[0] !== 'send') continue;
    expect(sent, where).toContain((step[1] as { readonly from: number }).from);
  }
  const isSoon = acknowledged.has(JSON.stringify(steps[1]));
  const mayRingNever = !acknowledged.has(JSON.stringify(steps[5]));
  expect(rings, where).toBeGreaterThanOrEqual(isSoon ? 1 : 0);
  expect(rings, where).toBeLessThanOrEqual(mayRingNever ? 2 : 1);
  expect(await world.verify({ type: 'errand', key: 'a' }), where).toEqual([]);
  expect(await world.wakes(), where).toEqual([]);
  expect((await settled(world, second.ask('errand', 'a', 'set'))).value, where).toEqual([]);
  return points.passed;
}

test('killed at any point of the way from a commit to its delivery, a node leaves nothing undone that is stored', async () => {
  const points = await runKilledAt(Infinity, 'never');
  for (const point of ['record write', 'append events', 'publish', 'record removal']) {
    expect(points).toContain(`before ${point}`);
    expect(points).toContain(`after ${point}`);
  }
  for (let killAt = 0; killAt < points.length; killAt += 1) {
    for (const late of ['never', 'before', 'during', 'after'] as const) await runKilledAt(killAt, late);
  }
}, 120_000);

test('two nodes that both believe they own the actor: nothing is lost, each number has its place', async () => {
  for (let seed = 1; seed <= 30; seed += 1) {
    const world = await DurableWorld.start();
    const random = seededRandom(seed);
    const nodes: ActorFixture[] = [world.node(actors, { durable }), world.node(actors, { durable })];
    const acknowledged: number[] = [];
    for (let from = 1; from <= 20; from += 1) {
      const node = nodes[random.next() < 0.5 ? 0 : 1] as ActorFixture;
      const asked = await settled(world, node.ask('errand', 'a', 'send', { from }));
      if (asked.outcome === 'ok') acknowledged.push(from);
      await world.clock.advance(random.next() * 400);
    }
    world.lose(nodes[0] as ActorFixture);
    world.lose(nodes[1] as ActorFixture);
    world.node(actors, { durable });
    await world.clock.advance(60_000);
    const sent = (await world.events('errand', 'a')).map(([, data]) => (data as { readonly n: number }).n);
    expect(sent, `seed ${seed}`).toEqual(acknowledged);
    expect(firstPublished(world), `seed ${seed}`).toEqual(sent);
    expect(await world.wakes(), `seed ${seed}`).toEqual([]);
  }
}, 60_000);

test.each(['stored_unknown', 'lost', 'late', 'stored_conflict', 'stored_late_answer'] as const)(
  'an append that ends as %s: its messages are delivered if, and only if, it is stored',
  async (fault) => {
    const world = await DurableWorld.start();
    const node = world.node(actors, { durable: { ...durable, commitSettleMs: 500 } });
    world.faults.nextAppends(fault);
    const asked = await settled(world, node.ask('errand', 'a', 'send', { from: 1 }));
    await world.clock.advance(2_000);
    world.faults.releaseLate();
    await world.clock.advance(30_000);
    const sent = (await world.events('errand', 'a')).map(([, data]) => (data as { readonly n: number }).n);
    expect(firstPublished(world)).toEqual(sent);
    if (asked.outcome === 'ok') expect(sent).toEqual([1]);
    expect(await world.wakes()).toEqual([]);
  },
);

test('a shard leaves while its messages are being delivered: the delivery under way ends, the rest goes on elsewhere', async () => {
  const world = await DurableWorld.start();
  const slow =
    (inner: (publication: never) => Promise<void>) =>
    async (publication: unknown): Promise<void> => {
      await new Promise<void>((resolve) => void world.clock.setTimer(50, resolve));
      return inner(publication as never);
    };
  const first = world.node(actors, { durable, publish: slow });
  await settled(world, first.ask('errand', 'a', 'send', { from: 1, count: 20 }));
  await world.clock.advance(420);
  world.lose(first);
  world.node(actors, { durable });
  await world.clock.advance(30_000);
  expect(firstPublished(world)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
  expect(world.published.length).toBeLessThan(40);
});
