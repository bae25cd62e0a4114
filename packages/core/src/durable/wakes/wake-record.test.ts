import { expect, test } from 'vitest';
import { silentLogger } from '../../base/log.ts';
import { noMetrics } from '../../base/metrics.ts';
import { seededRandom } from '../../base/random.ts';
import type { KeptRecords } from '../../contract/store.ts';
import { memoryStore } from '../../memory/memory-store.ts';
import { VirtualClock } from '../../testkit/virtual-clock.ts';
import { DueHeap } from './due-heap.ts';
import { readWake, wakeKey } from './wake.ts';
import { WakeRecord } from './wake-record.ts';

const stream = { type: 'errand', key: 'a' };
const key = wakeKey(0, stream);

interface Owner {
  readonly record: WakeRecord;
  /** Keeps what the owner sends from here on; the returned function lets it arrive. */
  hold(): () => Promise<void>;
  /** The answer to the next write is lost. */
  loseAnswer(): void;
}

async function world(): Promise<{ readonly clock: VirtualClock; owner(epoch: number): Owner; dueAt(): Promise<number | undefined> }> {
  const clock = new VirtualClock();
  const rest = { cluster: 'test', nodeId: 'n', shards: 1, connectTimeoutMs: 1_000, log: silentLogger, metrics: noMetrics };
  const { records } = await memoryStore().open({ ...rest, clock, random: seededRandom(1) });
  const owner = (epoch: number): Owner => {
    let held: (() => Promise<unknown>)[] | undefined;
    let isLost = false;
    const send = <T>(run: () => Promise<T>): Promise<T> => {
      if (held !== undefined) return new Promise((resolve, reject) => held?.push(() => run().then(resolve, reject)));
      if (!isLost) return run();
      isLost = false;
      return run().then(() => Promise.reject(new Error('the answer was lost')));
    };
    const through: KeptRecords = {
      read: (name) => records.read(name),
      list: (prefix) => records.list(prefix),
      write: (...args) => send(() => records.write(...args)),
      forget: (...args) => send(() => records.forget(...args)),
    };
    const parts = { records: through, clock, patienceMs: 500, writes: { inc: () => {} }, onFenced: () => {} };
    const release = async (): Promise<void> => {
      const sent = held ?? [];
      held = undefined;
      for (const run of sent) await run().catch(() => {});
    };
    return {
      record: new WakeRecord(parts, 0, epoch, stream),
      hold() {
        held = [];
        return release;
      },
      loseAnswer: () => (isLost = true),
    };
  };
  const dueAt = async (): Promise<number | undefined> => {
    const record = await clock.run(records.read(key));
    return record === undefined ? undefined : readWake(record.value)?.dueAt;
  };
  return { clock, owner, dueAt };
}

const always = (): boolean => true;

test('a removal that a former owner sent does not take what the next one rests on', async () => {
  const { clock, owner, dueAt } = await world();
  const [a, b] = [owner(1), owner(2)];
  await clock.run(a.record.cover(0));
  const release = a.hold();
  void a.record.tidy(Infinity, always);
  await clock.advance(1);
  expect(b.record.covers(0)).toBe(false);
  await clock.run(b.record.cover(0));
  expect(b.record.covers(0)).toBe(true);
  await clock.run(release());
  expect(await dueAt()).toBe(0);
});

test('a later due time that a former owner sent does not hide an earlier one of the next', async () => {
  const { clock, owner, dueAt } = await world();
  const [a, b] = [owner(1), owner(2)];
  await clock.run(a.record.cover(100));
  const release = a.hold();
  void a.record.tidy(200, always);
  await clock.advance(1);
  await clock.run(b.record.cover(150));
  await clock.run(release());
  expect(await dueAt()).toBeLessThanOrEqual(150);
});

test('an owner of the past writes nothing over the record of the present one', async () => {
  const { clock, owner, dueAt } = await world();
  const [a, b] = [owner(1), owner(2)];
  await clock.run(b.record.cover(100));
  const refused = await clock.run(a.record.cover(0).catch((error: unknown) => error));
  expect(refused).toMatchObject({ code: 'shard.moved', executed: 'no' });
  const untouched = await clock.run(a.record.tidy(Infinity, always).catch((error: unknown) => error));
  expect(untouched).toMatchObject({ code: 'shard.moved' });
  expect(await dueAt()).toBe(100);
});

test('a record that is early enough is not written again, one that is too late is', async () => {
  const { clock, owner, dueAt } = await world();
  const { record } = owner(1);
  await clock.run(record.cover(100));
  expect([record.covers(100), record.covers(500), record.covers(99)]).toEqual([true, true, false]);
  await clock.run(record.cover(50));
  expect(await dueAt()).toBe(50);
  await clock.run(record.tidy(80, always));
  expect([await dueAt(), record.covers(50)]).toEqual([80, false]);
  await clock.run(record.tidy(Infinity, () => false));
  expect(await dueAt()).toBe(80);
  await clock.run(record.tidy(Infinity, always));
  expect([await dueAt(), record.covers(100)]).toEqual([undefined, false]);
});

test('while a change is under way nothing rests on what was there before', async () => {
  const { clock, owner, dueAt } = await world();
  const a = owner(1);
  await clock.run(a.record.cover(0));
  const release = a.hold();
  const removed = a.record.tidy(Infinity, always);
  await clock.advance(1);
  expect(a.record.covers(0)).toBe(false);
  const covered = a.record.cover(0);
  await clock.run(release());
  await clock.run(Promise.all([removed, covered]));
  expect(await dueAt()).toBe(0);
});

test('an answer that is lost is made up for', async () => {
  const { clock, owner, dueAt } = await world();
  const a = owner(1);
  a.loseAnswer();
  await clock.run(a.record.cover(7));
  expect([await dueAt(), a.record.covers(7)]).toEqual([7, true]);
});

test('a heap gives what is due in order, whatever was added and removed', () => {
  const random = seededRandom(4);
  const heap = new DueHeap<number>();
  const entries = Array.from({ length: 500 }, (_, item) => heap.add(Math.floor(random.next() * 100), item));
  const kept = entries.filter((entry) => {
    if (random.next() < 0.6) heap.remove(entry);
    return !entry.isOff;
  });
  expect(heap.size).toBe(kept.length);
  const taken: number[] = [];
  for (let now = 0; now < 100; now += 1) {
    for (let item = heap.take(now); item !== undefined; item = heap.take(now)) {
      expect(entries[item]?.at).toBe(now);
      taken.push(item);
    }
  }
  expect(taken.toSorted((a, b) => a - b)).toEqual(kept.map(({ item }) => item));
  expect([heap.size, heap.firstAt]).toEqual([0, undefined]);
});
