import assert from 'node:assert/strict';
import type { RecordListener, RecordStore, StoredRecord, Watch } from '../../contract/record-store.ts';
import { Arrivals } from './arrivals.ts';
import type { RecordStoreSubject } from './record-store-suite.ts';
import { applied } from './record-store-write-cases.ts';
import { needed } from './suite.ts';
import type { SuiteCases } from './suite.ts';

type Notice = StoredRecord | 'synced';

/** A listener that keeps what it was told, and checks the order per key as it goes. */
class WatchProbe implements RecordListener {
  readonly told: Arrivals<Notice> = new Arrivals<Notice>();
  readonly outOfOrder: StoredRecord[] = [];
  readonly #latest = new Map<string, StoredRecord>();

  onRecord(record: StoredRecord): void {
    const previous = this.#latest.get(record.key);
    // A resync may repeat what was delivered before.
    if (previous !== undefined && previous.revision > record.revision) this.outOfOrder.push(record);
    this.#latest.set(record.key, { ...record });
    this.told.push({ ...record });
  }

  onSynced(): void {
    this.told.push('synced');
  }

  get synced(): number {
    return this.told.items.filter((notice) => notice === 'synced').length;
  }

  latest(key: string): StoredRecord | undefined {
    return this.#latest.get(key);
  }

  async untilSynced(times: number): Promise<void> {
    await this.told.until(() => this.synced >= times, `onSynced number ${times}`);
  }

  async untilRevision(key: string, revision: number): Promise<void> {
    await this.told.until(() => (this.latest(key)?.revision ?? 0) >= revision, `revision ${revision} of ${key}`);
  }
}

async function watched(store: RecordStore): Promise<{ probe: WatchProbe; watch: Watch }> {
  const probe = new WatchProbe();
  return { probe, watch: await store.watch(probe) };
}

/** Writes `key` `times` times, one after the other; gives the last revision. */
async function writeMany(store: RecordStore, key: string, times: number, from: number = 0): Promise<number> {
  let revision = from;
  for (let i = 1; i <= times; i += 1) revision = await applied(store, key, `${key} ${i}`, revision);
  return revision;
}

export const recordStoreWatchCases: SuiteCases<RecordStoreSubject> = {
  async 'a watch of an empty store says that it is synced'({ store }) {
    const { probe } = await watched(store);
    await probe.untilSynced(1);
    assert.deepEqual(probe.told.items, ['synced']);
  },

  async 'a watch delivers what exists, then says that it is synced'({ store }) {
    const a = await writeMany(store, 'a', 3);
    const b = await writeMany(store, 'b', 1);
    const { probe } = await watched(store);
    await probe.untilSynced(1);
    assert.deepEqual(probe.latest('a'), { key: 'a', value: 'a 3', revision: a });
    assert.deepEqual(probe.latest('b'), { key: 'b', value: 'b 1', revision: b });
    assert.equal(probe.told.items.at(-1), 'synced');
  },

  async 'a watch delivers what exists in rising order of revision, whatever was written first'({ store }) {
    const first = await writeMany(store, 'a', 1);
    await writeMany(store, 'b', 1);
    const last = await applied(store, 'a', 'a again', first);
    const { probe } = await watched(store);
    await probe.untilSynced(1);
    const told = probe.told.items.flatMap((notice) => (notice === 'synced' ? [] : [notice]));
    assert.deepEqual(
      told.map(({ key }) => key),
      ['b', 'a'],
    );
    assert.equal(told.at(-1)?.revision, last);
  },

  async 'a watch delivers updates in rising order and never misses the last'({ store }) {
    const { probe } = await watched(store);
    const keys = ['a', 'b', 'c', 'd', 'e'];
    const last = await Promise.all(keys.map((key) => writeMany(store, key, 40)));
    for (const [i, key] of keys.entries()) {
      await probe.untilRevision(key, last[i] ?? 0);
      assert.deepEqual(probe.latest(key), { key, value: `${key} 40`, revision: last[i] });
    }
    assert.deepEqual(probe.outOfOrder, []);
  },

  async 'a watch begun in the midst of writes misses no last update'({ store }) {
    const keys = ['a', 'b', 'c'];
    const writes = Promise.all(keys.map((key) => writeMany(store, key, 40)));
    const probes = await Promise.all(Array.from({ length: 4 }, () => watched(store)));
    const last = await writes;
    for (const { probe } of probes) {
      for (const [i, key] of keys.entries()) await probe.untilRevision(key, last[i] ?? 0);
      await probe.untilSynced(1);
      assert.deepEqual(probe.outOfOrder, []);
    }
  },

  async 'a watch sees what another connection writes'(subject) {
    const other = await needed(subject.another?.bind(subject), 'second connection')();
    const { probe } = await watched(subject.store);
    const revision = await writeMany(other, 'a', 5);
    await probe.untilRevision('a', revision);
    assert.equal(probe.latest('a')?.value, 'a 5');
  },

  async 'a key that was forgotten and created again is delivered'({ store }) {
    const { probe } = await watched(store);
    const first = await applied(store, 'a', 'one', 0);
    await store.forget('a', first);
    const second = await applied(store, 'a', 'two', 0);
    await probe.untilRevision('a', second);
    assert.equal(probe.latest('a')?.value, 'two');
    assert.deepEqual(probe.outOfOrder, []);
  },

  async 'a watch does not deliver what was forgotten before it began'({ store }) {
    const first = await applied(store, 'a', 'one', 0);
    await applied(store, 'b', 'other', 0);
    await store.forget('a', first);
    const { probe } = await watched(store);
    await probe.untilSynced(1);
    assert.equal(probe.latest('a'), undefined);
    assert.equal(probe.latest('b')?.value, 'other');
  },

  async 'a listener that throws is told of the next update all the same'({ store }) {
    const seen = new Arrivals<number>();
    await store.watch({
      onSynced: () => {},
      onRecord: (record) => {
        seen.push(record.revision);
        throw new Error('thrown by the listener on purpose');
      },
    });
    const last = await writeMany(store, 'a', 3);
    await seen.until((revisions) => revisions.at(-1) === last, 'the last update');
  },

  async 'a stopped watch is told nothing more, the others are'({ store }) {
    const stopped = await watched(store);
    const going = await watched(store);
    const first = await applied(store, 'a', 'one', 0);
    await stopped.probe.untilRevision('a', first);
    await stopped.probe.untilSynced(1);
    stopped.watch.stop();
    stopped.watch.stop();
    const told = stopped.probe.told.items.length;
    const last = await writeMany(store, 'a', 5, first);
    await going.probe.untilRevision('a', last);
    assert.equal(stopped.probe.told.items.length, told);
  },

  async 'after a reconnect a watch catches up and says again that it is synced'(subject) {
    const reconnect = needed(subject.reconnect?.bind(subject), 'reconnect');
    const other = await needed(subject.another?.bind(subject), 'second connection')();
    const before = await writeMany(other, 'a', 3);
    await applied(other, 'quiet', 'unchanged', 0);
    const { probe } = await watched(subject.store);
    await probe.untilSynced(1);
    const [, during] = await Promise.all([reconnect(), writeMany(other, 'a', 30, before)]);
    await probe.untilSynced(2);
    const after = await writeMany(other, 'a', 3, during);
    await probe.untilRevision('a', after);
    assert.equal(probe.latest('quiet')?.value, 'unchanged');
    assert.deepEqual(probe.outOfOrder, []);
  },
};
