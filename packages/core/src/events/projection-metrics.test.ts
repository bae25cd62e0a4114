import { beforeEach, expect, test } from 'vitest';
import { silentLogger } from '../base/log.ts';
import { MetricsRegistry } from '../base/metrics-registry.ts';
import { seededRandom } from '../base/random.ts';
import type { OpenStore } from '../contract/store.ts';
import { memoryStore } from '../memory/memory-store.ts';
import { VirtualClock } from '../testkit/virtual-clock.ts';
import { noHead, type StreamHead } from './commit.ts';
import { EventStore } from './event-store.ts';
import { defineProjection, type ProjectionDefinition } from './projection.ts';
import { ProjectionGroup } from './projection-group.ts';

let clock: VirtualClock;
let metrics: MetricsRegistry;
let store: OpenStore;
let events: EventStore;
let head: StreamHead;
let mayAct = true;

beforeEach(async () => {
  clock = new VirtualClock();
  metrics = new MetricsRegistry({});
  mayAct = true;
  head = noHead;
  const random = seededRandom(1);
  const environment = { cluster: 'c', nodeId: 'n', shards: 8, connectTimeoutMs: 1_000, log: silentLogger };
  store = await memoryStore().open({ ...environment, clock, random, metrics: new MetricsRegistry({}) });
  events = new EventStore({ log: store.events, clock, random, shards: 8 });
});

async function append(...names: readonly string[]): Promise<void> {
  for (const name of names) {
    const draft = { id: events.newCommitId(), at: clock.wall(), events: [{ name, schema: 1, data: null }] };
    const result = await clock.run(events.append({ type: 't', key: 'k' }, head, { epoch: 1, owner: 'o' }, draft));
    if (result.kind !== 'appended') throw new Error(result.kind);
    head = result.head;
  }
}

function start(definitions: ProjectionDefinition | readonly ProjectionDefinition[], epoch = 1): ProjectionGroup {
  const projections = [definitions].flat().map((definition) => defineProjection(definition));
  const rest = { catalogues: new Map(), guard: { mayAct: () => mayAct }, onFenced: () => {}, clock, log: silentLogger, metrics };
  return new ProjectionGroup({ projections, epoch, store, source: events, ...rest });
}

const value = (name: string): number | undefined => {
  const [series] = metrics.snapshot().find((one) => one.name === `perkey_projection_${name}`)?.series ?? [];
  return series !== undefined && 'value' in series ? series.value : undefined;
};

test.each([
  ['that is there too', [1, 2]],
  ['that is no longer there', [2]],
])('a projection runs on while a new build takes the place of one %s, until its node gives it up', async (_what, versions) => {
  await append('a', 'b');
  const handle = (): Promise<void> => new Promise((resolve) => void clock.setTimer(300, resolve));
  const version = (number: number): ProjectionDefinition => ({ name: 'p', version: number, handle });
  const first = start(version(1));
  await clock.advance(5_000);
  expect(value('running')).toBe(1);
  await clock.run(first.stop());
  expect(value('running')).toBe(0);
  const second = start(versions.map(version), 2);
  for (let passed = 0; passed < 10_000; passed += 100) {
    await clock.advance(100);
    expect(value('running')).toBe(1);
  }
  expect(second.status()).toMatchObject([{ generation: 2, isLive: true }]);
  await clock.run(second.stop());
  expect(value('running')).toBe(0);
});

test('one that stands still does not run, although a build beside it goes on', async () => {
  await append('a');
  const handle: ProjectionDefinition['handle'] = ({ event }) => {
    if (event === 'poison') throw new Error('no');
  };
  const group = start([{ name: 'p', version: 1, handle, onError: 'stop' }]);
  await clock.advance(5_000);
  await append('poison');
  await clock.advance(100);
  expect([group.status()[0]?.state, value('running')]).toEqual(['failed', 0]);
  await clock.run(group.stop());
  const slow: ProjectionDefinition = {
    ...{ name: 'p', version: 2 },
    handle: () => new Promise<void>((resolve) => void clock.setTimer(3_000, resolve)),
  };
  const both = start([{ name: 'p', version: 1, handle, onError: 'stop' }, slow], 2);
  await clock.advance(2_500);
  expect(both.status().map(({ state }) => state)).toEqual(['failed', 'catching up']);
  expect(value('running')).toBe(0);
  await clock.advance(20_000);
  expect([both.status().map(({ state }) => state), value('running')]).toEqual([['live'], 1]);
  await clock.run(both.stop());
});

test('how far it is behind is told, and nothing of it when its node no longer runs it', async () => {
  await append('a', 'b');
  const group = start({ name: 'p', handle: () => {} });
  await clock.advance(5_000);
  expect(value('lag_records')).toBe(0);
  mayAct = false;
  await append('c', 'd', 'e');
  await clock.advance(5_000);
  expect(value('lag_records')).toBe(3);
  mayAct = true;
  await clock.run(group.stop());
  expect(value('lag_records')).toBe(0);
});

test('every instrument of a projection is set by what it counts', async () => {
  const handle: ProjectionDefinition['handle'] = ({ event }) => {
    if (event === 'poison') throw new Error('no');
  };
  const onError = { attemptsMax: 2, delayMs: 1, delayMaxMs: 1, afterwards: 'dead-letter' } as const;
  await append('a', 'poison');
  const group = start({ name: 'p', handle, onError });
  const skipping = start({ name: 'q', handle, onError: 'skip' });
  await clock.advance(5_000);
  mayAct = false;
  await append('b');
  await clock.advance(5_000);
  const declared = metrics.snapshot().filter(({ name }) => name.startsWith('perkey_projection_'));
  const set = declared.filter(({ series }) => series.some((one) => 'value' in one && one.value > 0));
  expect(set.map(({ name }) => name)).toEqual(declared.map(({ name }) => name));
  expect(set).toHaveLength(7);
  mayAct = true;
  await clock.run(Promise.all([group.stop(), skipping.stop()]));
});
