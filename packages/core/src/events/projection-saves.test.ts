import { expect, test } from 'vitest';
import { silentLogger } from '../base/log.ts';
import { noMetrics } from '../base/metrics.ts';
import { seededRandom } from '../base/random.ts';
import type { KeptRecords } from '../contract/store.ts';
import { memoryStore } from '../memory/memory-store.ts';
import { VirtualClock } from '../testkit/virtual-clock.ts';
import { noHead, type StreamHead } from './commit.ts';
import { EventStore } from './event-store.ts';
import { defineProjection } from './projection.ts';
import { ProjectionGroup } from './projection-group.ts';
import { positionOf } from './stored-event.ts';

/** Records whose checkpoints are written when they are let. */
class HeldCheckpoints implements KeptRecords {
  readonly read: KeptRecords['read'];
  readonly forget: KeptRecords['forget'];
  readonly list: KeptRecords['list'];
  readonly written: number[] = [];
  readonly held: (() => void)[] = [];
  holds = false;
  readonly #inner: KeptRecords;

  constructor(inner: KeptRecords) {
    this.#inner = inner;
    this.read = (key) => inner.read(key);
    this.forget = (key, upTo) => inner.forget(key, upTo);
    this.list = (prefix) => inner.list(prefix);
  }

  async write(...[key, value, expected]: Parameters<KeptRecords['write']>): ReturnType<KeptRecords['write']> {
    const isCheckpoint = key.startsWith('checkpoint.');
    if (this.holds && isCheckpoint) await new Promise<void>((resolve) => this.held.push(resolve));
    const outcome = await this.#inner.write(key, value, expected);
    if (isCheckpoint) this.written.push((JSON.parse(value) as { readonly position: number }).position);
    return outcome;
  }
}

test('the next batch is handled while a checkpoint is on its way, and no further one', async () => {
  const clock = new VirtualClock();
  const random = seededRandom(1);
  const rest = { cluster: 'c', nodeId: 'n', shards: 8, connectTimeoutMs: 1_000, log: silentLogger, metrics: noMetrics };
  const open = await memoryStore().open({ ...rest, clock, random });
  const records = new HeldCheckpoints(open.records);
  const source = new EventStore({ log: open.events, clock, random, metrics: noMetrics, shards: 8 });
  let head: StreamHead = noHead;
  for (let n = 1; n <= 6; n += 1) {
    const draft = { id: `${n}`, at: 0, events: [{ name: 'Counted', schema: 1, data: n }] };
    const result = await clock.run(source.append({ type: 't', key: 'k' }, head, { epoch: 1, owner: 'n/1' }, draft));
    if (result.kind === 'appended') ({ head } = result);
  }
  const seen: unknown[] = [];
  const projection = defineProjection({ name: 'p', batchMax: 2, handle: ({ data }) => void seen.push(data) });
  const store = { ...open, records, shardsHeld: () => open.shardsHeld(), close: () => open.close() };
  const guard = { mayAct: () => true };
  records.holds = true;
  const group = new ProjectionGroup({
    onFenced: () => {},
    ...{ projections: [projection], epoch: 1, store, source, catalogues: new Map(), guard, clock },
    ...{ log: silentLogger, metrics: noMetrics },
  });
  const release = async (): Promise<void> => {
    records.held.shift()?.();
    await clock.advance(100);
  };
  await clock.advance(100);
  // The one under the new epoch, before anything is handled.
  expect([seen, records.held.length]).toEqual([[], 1]);
  await release();
  expect([seen, records.held.length]).toEqual([[1, 2, 3, 4], 1]);
  records.holds = false;
  await release();
  expect(seen).toEqual([1, 2, 3, 4, 5, 6]);
  await clock.run(group.stop());
  expect(records.written).toEqual([0, ...[2, 4, 6].map((sequence) => positionOf(sequence, 1023))]);
});
