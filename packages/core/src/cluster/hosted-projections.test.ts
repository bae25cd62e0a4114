import { expect, test } from 'vitest';
import { silentLogger } from '../base/log.ts';
import { noMetrics } from '../base/metrics.ts';
import { seededRandom } from '../base/random.ts';
import { shardOf } from '../base/hash.ts';
import { EventStore } from '../events/event-store.ts';
import { noHead } from '../events/commit.ts';
import { defineProjection } from '../events/projection.ts';
import { memoryStore } from '../memory/memory-store.ts';
import { storeEnvironment } from '../testkit/contract-suites/store-world.ts';
import { VirtualClock } from '../testkit/virtual-clock.ts';
import { HostedProjections, type ProjectionEndings } from './hosted-projections.ts';

const shards = 8;
const shard = shardOf('p', shards);

async function hosted(handle: () => Promise<void>, privateId?: string) {
  const clock = new VirtualClock();
  const store = { ...(await memoryStore().open(storeEnvironment({ nodeId: 'n', clock }))), privateId };
  const source = new EventStore({ log: store.events, clock, random: seededRandom(1), metrics: noMetrics, shards });
  const draft = { id: 'one', at: 0, events: [{ name: 'E', schema: 1, data: 1 }] };
  await clock.run(source.append({ type: 't', key: 'k' }, noHead, { epoch: 1, owner: 'n/1' }, draft));
  const endings: ProjectionEndings = new Map();
  const fenced: (readonly [number, number])[] = [];
  const onFenced = (...found: readonly [number, number]): void => void fenced.push(found);
  const session = (): HostedProjections =>
    new HostedProjections({
      ...{ definitions: [defineProjection({ name: 'p', handle })], shards, store, source, clock },
      ...{ catalogues: new Map(), guard: { mayAct: () => true }, log: silentLogger, metrics: noMetrics, endings, onFenced },
    });
  return { clock, projections: session(), session, store, fenced };
}

test('a shard that was lost and comes back begins its projection only when the handler that still runs has returned', async () => {
  let running = 0;
  let most = 0;
  let calls = 0;
  const ends: (() => void)[] = [];
  const { clock, projections } = await hosted(async () => {
    calls += 1;
    running += 1;
    most = Math.max(most, running);
    await new Promise<void>((resolve) => ends.push(resolve));
    running -= 1;
  });
  projections.opened(shard, 1);
  await clock.advance(100);
  expect(calls).toBe(1);
  projections.dropped(shard);
  projections.opened(shard, 2);
  projections.dropped(shard);
  projections.opened(shard, 3);
  await clock.advance(5_000);
  expect([calls, most]).toEqual([1, 1]);
  expect(projections.status()).toEqual([]);
  ends[0]?.();
  await clock.advance(5_000);
  expect([calls, most, running]).toEqual([1, 1, 0]);
  expect(projections.status()).toMatchObject([{ projection: 'p', state: 'live' }]);
  await clock.run(projections.stop());
});

test('a projection that is stopped while its handler runs is over when the handler is', async () => {
  let end = (): void => {};
  const { clock, projections } = await hosted(() => new Promise<void>((resolve) => (end = resolve)));
  projections.opened(shard, 1);
  await clock.advance(100);
  projections.dropped(shard);
  projections.opened(shard, 2);
  let isOver = false;
  const stopped = projections.stop().then(() => (isOver = true));
  await clock.advance(1_000);
  expect(isOver).toBe(false);
  end();
  await clock.run(stopped);
  await clock.advance(1_000);
  expect(projections.status()).toEqual([]);
});

test('a node that was evicted and joins anew begins a projection only when the handler of its former incarnation has returned', async () => {
  const ends: (() => void)[] = [];
  const { clock, projections, session } = await hosted(() => new Promise<void>((resolve) => ends.push(resolve)));
  projections.opened(shard, 1);
  await clock.advance(100);
  void projections.stop();
  const next = session();
  next.opened(shard, 2);
  await clock.advance(5_000);
  expect([ends.length, next.status()]).toEqual([1, []]);
  ends[0]?.();
  await clock.advance(1_000);
  expect(next.status()).toMatchObject([{ projection: 'p' }]);
  for (const end of ends) end();
  await clock.run(next.stop());
});

test('a projection over a private store goes on whatever epoch its checkpoint names: nobody else can have saved it', async () => {
  let handled = 0;
  const { clock, projections, session, store, fenced } = await hosted(async () => void (handled += 1), 'private');
  projections.begin();
  await clock.advance(1_000);
  expect([handled, projections.status()]).toMatchObject([1, [{ state: 'live' }]]);
  await clock.run(projections.stop());
  const stored = await clock.run(store.records.read('checkpoint.p.1'));
  const value = JSON.stringify({ ...JSON.parse(stored?.value ?? ''), epoch: clock.wall() + 3_600_000 });
  await clock.run(store.records.write('checkpoint.p.1', value, stored?.revision ?? 0));
  const next = session();
  next.begin();
  await clock.advance(1_000);
  expect([handled, next.status(), fenced]).toMatchObject([1, [{ state: 'live' }], []]);
  await clock.run(next.stop());
});

test('a checkpoint of a later epoch ends a projection, and is told to who can claim the shard anew above it', async () => {
  const { clock, projections, session, fenced } = await hosted(async () => {});
  projections.opened(shard, 7);
  await clock.advance(1_000);
  const next = session();
  await clock.run(projections.stop());
  next.opened(shard, 5);
  await clock.advance(1_000);
  expect([next.status(), fenced]).toMatchObject([[{ state: 'fenced' }], [[shard, 7]]]);
  next.opened(shard, 8);
  await clock.advance(1_000);
  expect([next.status(), fenced.length]).toMatchObject([[{ state: 'live' }], 1]);
  await clock.run(next.stop());
});
