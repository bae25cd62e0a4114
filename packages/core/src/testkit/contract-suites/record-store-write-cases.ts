import assert from 'node:assert/strict';
import type { RecordStore } from '../../contract/record-store.ts';
import type { RecordStoreSubject } from './record-store-suite.ts';
import { needed } from './suite.ts';
import type { SuiteCases } from './suite.ts';

const badKeys = ['', ' ', 'a b', 'a/b', '*', '>', 'x.*', 'a..b', '.a', 'a.', 'a\n', 'a\u0000', 'ä', 'a=b', '$'];

/** Writes where success is certain; gives the revision. */
export async function applied(store: RecordStore, key: string, value: string, expected: number): Promise<number> {
  const outcome = await store.write(key, value, expected);
  assert.ok(outcome.applied, `the write of ${key} at revision ${expected} was refused`);
  return outcome.revision;
}

async function refused(store: RecordStore, key: string, expected: number): Promise<void> {
  assert.equal((await store.write(key, 'must not be seen', expected)).applied, false);
}

/** Adds one with compare-and-set, as often as it takes. */
async function increment(store: RecordStore, key: string): Promise<void> {
  for (let attempt = 0; attempt < 1_000; attempt += 1) {
    const record = await store.read(key);
    const outcome = await store.write(key, String(Number(record?.value ?? '0') + 1), record?.revision ?? 0);
    if (outcome.applied) return;
  }
  assert.fail('1,000 compare-and-sets in a row were refused');
}

export const recordStoreWriteCases: SuiteCases<RecordStoreSubject> = {
  async 'a record is created at revision 0 and read back'({ store }) {
    assert.equal(await store.read('a'), undefined);
    const revision = await applied(store, 'a', 'one', 0);
    assert.ok(revision > 0);
    assert.deepEqual({ ...(await store.read('a')) }, { key: 'a', value: 'one', revision });
  },

  async 'creating what exists is refused'({ store }) {
    const revision = await applied(store, 'a', 'one', 0);
    await refused(store, 'a', 0);
    assert.deepEqual({ ...(await store.read('a')) }, { key: 'a', value: 'one', revision });
  },

  async 'a stale revision is refused and the latest is taken'({ store }) {
    const first = await applied(store, 'a', 'one', 0);
    const second = await applied(store, 'a', 'two', first);
    assert.ok(second > first);
    await refused(store, 'a', first);
    await applied(store, 'a', 'three', second);
    assert.equal((await store.read('a'))?.value, 'three');
  },

  async 'a revision that does not exist is refused'({ store }) {
    await refused(store, 'missing', 7);
    const revision = await applied(store, 'a', 'one', 0);
    await refused(store, 'a', revision + 1_000);
    assert.equal(await store.read('missing'), undefined);
  },

  async 'the revision of another key is refused'({ store }) {
    const first = await applied(store, 'a', 'one', 0);
    const second = await applied(store, 'b', 'one', 0);
    assert.ok(second > first);
    await refused(store, 'a', second);
    await applied(store, 'a', 'two', first);
  },

  async 'of 50 that create one key at once, one wins'({ store }) {
    const outcomes = await Promise.all(Array.from({ length: 50 }, (_, i) => store.write('a', `racer ${i}`, 0)));
    const winners = outcomes.flatMap((outcome, i) => (outcome.applied ? [{ i, revision: outcome.revision }] : []));
    assert.equal(winners.length, 1);
    assert.deepEqual({ ...(await store.read('a')) }, { key: 'a', value: `racer ${winners[0]?.i}`, revision: winners[0]?.revision });
  },

  async 'of those that update one revision at once, one wins'({ store }) {
    let revision = await applied(store, 'a', 'start', 0);
    for (let round = 0; round < 10; round += 1) {
      const outcomes = await Promise.all(Array.from({ length: 10 }, (_, i) => store.write('a', `${round}/${i}`, revision)));
      const winners = outcomes.filter((outcome) => outcome.applied);
      assert.equal(winners.length, 1, `round ${round}`);
      revision = winners[0]?.revision ?? 0;
    }
    assert.equal((await store.read('a'))?.revision, revision);
  },

  async 'compare-and-set loops lose no step'({ store }) {
    const loop = async (): Promise<void> => {
      for (let i = 0; i < 10; i += 1) await increment(store, 'a');
    };
    await Promise.all(Array.from({ length: 8 }, loop));
    assert.equal((await store.read('a'))?.value, '80');
  },

  async 'a second connection sees the same records'(subject) {
    const other = await needed(subject.another?.bind(subject), 'second connection')();
    const first = await applied(subject.store, 'a', 'one', 0);
    assert.equal((await other.read('a'))?.revision, first);
    const second = await applied(other, 'a', 'two', first);
    await refused(subject.store, 'a', first);
    await applied(subject.store, 'a', 'three', second);
  },

  async 'values of any text come back whole'({ store }) {
    const values = ['', ' ', '{"a":[1,"\\n"]}', 'line\r\nline', 'zero \u0000 byte', 'ä € 😀', 'x'.repeat(60_000)];
    for (const [i, value] of values.entries()) {
      await applied(store, `v${i}`, value, 0);
      assert.equal((await store.read(`v${i}`))?.value, value);
    }
  },

  async 'keys of the whole charset are kept apart'({ store }) {
    const keys = ['a', 'A', 'a.b', 'a-b', 'a_b', 'a.b.c', '0', 'shard.17', 'member.Node_1-x', '-', '_', 'k'.repeat(120)];
    for (const key of keys) await applied(store, key, `of ${key}`, 0);
    for (const key of keys) assert.deepEqual({ ...(await store.read(key)), revision: 0 }, { key, value: `of ${key}`, revision: 0 });
  },

  async 'a key outside of the charset is rejected and touches nothing'({ store }) {
    const revision = await applied(store, 'a', 'one', 0);
    for (const key of badKeys) {
      await assert.rejects(store.write(key, 'bad', 0), `write of ${JSON.stringify(key)}`);
      await assert.rejects(store.read(key), `read of ${JSON.stringify(key)}`);
      await assert.rejects(store.forget(key, 1_000_000), `forget of ${JSON.stringify(key)}`);
    }
    assert.deepEqual({ ...(await store.read('a')) }, { key: 'a', value: 'one', revision });
  },

  async 'forget removes a record at its revision and leaves a newer one'({ store }) {
    const first = await applied(store, 'a', 'one', 0);
    const second = await applied(store, 'a', 'two', first);
    await store.forget('a', first);
    assert.equal((await store.read('a'))?.revision, second);
    await store.forget('a', second);
    assert.equal(await store.read('a'), undefined);
    await store.forget('a', second);
    await store.forget('never-there', 5);
  },

  async 'a forgotten key refuses its old revision and can be created again'({ store }) {
    const first = await applied(store, 'a', 'one', 0);
    await applied(store, 'b', 'other', 0);
    await store.forget('a', first);
    await refused(store, 'a', first);
    assert.ok((await applied(store, 'a', 'new', 0)) > first);
    assert.equal((await store.read('b'))?.value, 'other');
  },

  async 'after close every method rejects with store.unavailable'(subject) {
    await applied(subject.store, 'a', 'one', 0);
    await subject.close();
    const unavailable = { code: 'store.unavailable' };
    await assert.rejects(subject.store.read('a'), unavailable);
    await assert.rejects(subject.store.write('a', 'two', 0), unavailable);
    await assert.rejects(subject.store.forget('a', 1), unavailable);
    await assert.rejects(subject.store.watch({ onRecord: () => {}, onSynced: () => {} }), unavailable);
  },

  async 'a store works again after a reconnect'(subject) {
    const first = await applied(subject.store, 'a', 'one', 0);
    await needed(subject.reconnect?.bind(subject), 'reconnect')();
    assert.equal((await subject.store.read('a'))?.revision, first);
    await refused(subject.store, 'a', 0);
    await applied(subject.store, 'a', 'two', first);
  },
};
