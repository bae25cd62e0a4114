import assert from 'node:assert/strict';
import type { Snapshot, SnapshotStore } from '../../contract/store.ts';
import { oddKeys } from './store-append-cases.ts';
import { bytes, pattern, stream } from './store-world.ts';
import type { StoreWorld } from './store-world.ts';
import type { SuiteCases } from './suite.ts';

const snapshot = (sequence: number, body: string = `snapshot ${sequence}`): Snapshot => ({ sequence, body: bytes(body) });

async function loaded(snapshots: SnapshotStore, key: string, type?: string): Promise<readonly (readonly [number, string])[]> {
  const found = await snapshots.load(stream(key, type));
  return found.map(({ sequence, body }) => [sequence, new TextDecoder().decode(body)] as const);
}

export const storeSnapshotCases: SuiteCases<StoreWorld> = {
  async 'snapshots: several are kept, the newest is given first, older ones go'({ store: { snapshots } }) {
    assert.deepEqual(await snapshots.load(stream('a')), []);
    for (const sequence of [3, 10, 17, 40, 1_000_000]) await snapshots.save(stream('a'), snapshot(sequence), 3);
    const found = await loaded(snapshots, 'a');
    assert.deepEqual(
      found.slice(0, 3),
      [1_000_000, 40, 17].map((sequence) => [sequence, `snapshot ${sequence}`]),
    );
    assert.ok(found.length <= 4, `${found.length} were kept`);
  },

  async 'snapshots: one that is saved late displaces no newer one'({ store: { snapshots } }) {
    for (const sequence of [30, 10, 20]) await snapshots.save(stream('a'), snapshot(sequence), 2);
    const found = (await loaded(snapshots, 'a')).map(([sequence]) => sequence);
    assert.deepEqual(found.slice(0, 2), [30, 20]);
    for (const max of [1, 2, 5])
      assert.deepEqual(
        (await snapshots.load(stream('a'), max)).map(({ sequence }) => sequence),
        found.slice(0, max),
      );
    assert.deepEqual(
      found,
      found.toSorted((a, b) => b - a),
    );
  },

  async 'snapshots: one of the same sequence takes the place of the former'({ store: { snapshots } }) {
    await snapshots.save(stream('a'), snapshot(5, 'first'), 2);
    await snapshots.save(stream('a'), snapshot(5, 'second'), 2);
    assert.deepEqual(await loaded(snapshots, 'a'), [[5, 'second']]);
  },

  async 'snapshots: streams are apart, and forgetting one leaves the others'({ store: { snapshots } }) {
    for (const key of oddKeys) await snapshots.save(stream(key), snapshot(7, `of ${key}`), 2);
    await snapshots.save(stream('a', 'Order'), snapshot(9, 'order'), 2);
    for (const key of oddKeys) assert.deepEqual(await loaded(snapshots, key), [[7, `of ${key}`]]);
    const forgotten = ['*', '>', 'x.*', '%', ''];
    for (const key of forgotten) await snapshots.forget(stream(key));
    await snapshots.forget(stream('missing'));
    for (const key of oddKeys) assert.equal((await snapshots.load(stream(key))).length, forgotten.includes(key) ? 0 : 1, key.slice(0, 20));
    assert.deepEqual(await loaded(snapshots, 'a', 'Order'), [[9, 'order']]);
  },

  async 'snapshots: a body up to the limit comes back whole, a larger one is rejected'({ store: { snapshots } }) {
    const body = pattern(snapshots.bodyBytesMax);
    await snapshots.save(stream('a'), { sequence: 1, body }, 2);
    const [found] = await snapshots.load(stream('a'));
    assert.ok(found !== undefined && Buffer.compare(found.body, body) === 0);
    const larger = { sequence: 2, body: new Uint8Array(snapshots.bodyBytesMax + 1) };
    await assert.rejects(snapshots.save(stream('a'), larger, 2), { code: 'payload.too_large' });
    assert.deepEqual(
      (await snapshots.load(stream('a'))).map(({ sequence }) => sequence),
      [1],
    );
  },

  async 'snapshots: another node sees them'(world) {
    const other = await world.another();
    await world.store.snapshots.save(stream('a'), snapshot(5), 2);
    assert.deepEqual(await loaded(other.snapshots, 'a'), [[5, 'snapshot 5']]);
    await other.snapshots.save(stream('a'), snapshot(8), 2);
    assert.equal((await loaded(world.store.snapshots, 'a'))[0]?.[0], 8);
  },
};
