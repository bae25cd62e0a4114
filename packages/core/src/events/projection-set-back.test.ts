import { expect, test } from 'vitest';
import { silentLogger } from '../base/log.ts';
import { noMetrics } from '../base/metrics.ts';
import { seededRandom } from '../base/random.ts';
import type { CommitLog } from '../contract/commit-log.ts';
import type { OpenStore } from '../contract/store.ts';
import { memoryStore } from '../memory/memory-store.ts';
import { storeEnvironment } from '../testkit/contract-suites/store-world.ts';
import { VirtualClock } from '../testkit/virtual-clock.ts';
import { noHead } from './commit.ts';
import { EventStore } from './event-store.ts';
import { GenerationRecords } from './generations.ts';
import { defineProjection } from './projection.ts';
import { ProjectionGroup } from './projection-group.ts';
import { sequenceBefore } from './stored-event.ts';

const clock = new VirtualClock();
const open = (): Promise<OpenStore> => memoryStore().open(storeEnvironment({ nodeId: 'n', clock }));
const sourceOf = (log: CommitLog): EventStore => new EventStore({ log, clock, random: seededRandom(1), metrics: noMetrics, shards: 8 });

async function append(source: EventStore, ...keys: readonly string[]): Promise<void> {
  for (const key of keys) {
    const draft = { id: key, at: 0, events: [{ name: 'E', schema: 1, data: key }] };
    await clock.run(source.append({ type: 't', key }, noHead, { epoch: 1, owner: 'n/1' }, draft));
  }
}

test('a log that ends before the checkpoint was set back: the projection stands still until it is built anew', async () => {
  const seen: unknown[] = [];
  const store = await open();
  const start = (events: CommitLog): ProjectionGroup =>
    new ProjectionGroup({
      projections: [defineProjection({ name: 'p', handle: ({ data }) => void seen.push(data) })],
      ...{ epoch: 1, onFenced: () => {}, catalogues: new Map(), guard: { mayAct: () => true } },
      ...{ store: { ...store, events }, source: sourceOf(events), clock, log: silentLogger, metrics: noMetrics },
    });
  await append(sourceOf(store.events), 'a', 'b', 'c');
  const first = start(store.events);
  await clock.advance(100);
  await clock.run(first.stop());
  const { events } = await open();
  await append(sourceOf(events), 'x');
  const second = start(events);
  await clock.advance(100);
  await append(sourceOf(events), 'y', 'z');
  await clock.advance(3_000);
  expect(seen).toEqual(['a', 'b', 'c']);
  const [status] = second.status();
  expect(status).toMatchObject({ isLive: true, state: 'failed' });
  expect(status?.error).toContain('the log ends at 1, before the checkpoint of the projection at 3');
  await clock.run(new GenerationRecords(store.records).rebuild('p', await clock.run(sourceOf(events).end())));
  await clock.advance(10_000);
  expect(seen).toEqual(['a', 'b', 'c', 'x', 'y', 'z']);
  expect(second.status()).toMatchObject([{ generation: 2, isLive: true, state: 'live' }]);
  expect(sequenceBefore(second.status()[0]?.position ?? 0)).toBe(3);
  await clock.run(second.stop());
});
