import assert from 'node:assert/strict';
import type { RecordStore } from '../../contract/record-store.ts';
import type { KeptRecords } from '../../contract/store.ts';
import type { RecordStoreSubject } from './record-store-suite.ts';
import { applied, recordStoreWriteCases } from './record-store-write-cases.ts';
import type { StoreWorld } from './store-world.ts';
import type { SuiteCases } from './suite.ts';

/** The kept records as a record store, which nothing here watches. */
function asRecordStore(records: KeptRecords): RecordStore {
  return {
    read: (key) => records.read(key),
    write: (key, value, expected) => records.write(key, value, expected),
    forget: (key, upTo) => records.forget(key, upTo),
    watch: () => assert.fail('kept records are not watched'),
  };
}

/** These ask for more than kept records have. */
const others: readonly string[] = ['a store works again after a reconnect', 'after close every method rejects with store.unavailable'];

function subjectOf(world: StoreWorld): RecordStoreSubject {
  return {
    store: asRecordStore(world.store.records),
    another: async () => asRecordStore((await world.another()).records),
    close: () => Promise.resolve(),
  };
}

const writeCases: SuiteCases<StoreWorld> = Object.fromEntries(
  Object.entries(recordStoreWriteCases)
    .filter(([name]) => !others.includes(name))
    .map(([name, run]) => [`records: ${name}`, (world) => run(subjectOf(world))]),
);

async function listed(records: KeptRecords, prefix: string): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const batch of records.list(prefix)) found.push(...batch.map(({ key, value }) => `${key}=${value}`));
  return found.toSorted();
}

export const storeRecordCases: SuiteCases<StoreWorld> = {
  ...writeCases,

  async 'records: a list gives what begins with the prefix, with its last value'({ store: { records } }) {
    assert.deepEqual(await listed(records, 'a.'), []);
    const first = await applied(asRecordStore(records), 'a.x', 'old', 0);
    await applied(asRecordStore(records), 'a.x', 'one', first);
    for (const key of ['a.y.z', 'ab.x', 'a', 'A.x', 'b.a.x', 'a-.x']) await applied(asRecordStore(records), key, 'one', 0);
    const gone = await applied(asRecordStore(records), 'a.gone', 'one', 0);
    await records.forget('a.gone', gone);
    assert.deepEqual(await listed(records, 'a.'), ['a.x=one', 'a.y.z=one']);
    assert.deepEqual(await listed(records, 'a.y.'), ['a.y.z=one']);
    assert.deepEqual(await listed(records, 'missing.'), []);
  },

  async 'records: a list gives thousands, each once'({ store: { records } }) {
    const store = asRecordStore(records);
    const keys = Array.from({ length: 2_500 }, (_, i) => `many.k${i}`);
    for (let i = 0; i < keys.length; i += 100) await Promise.all(keys.slice(i, i + 100).map((key) => applied(store, key, 'v', 0)));
    assert.deepEqual(await listed(records, 'many.'), keys.map((key) => `${key}=v`).toSorted());
  },
};
