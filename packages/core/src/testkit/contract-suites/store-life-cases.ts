import assert from 'node:assert/strict';
import { append, appendAll, appended, bytes, numbered, readAll, stream, texts } from './store-world.ts';
import type { StoreWorld } from './store-world.ts';
import { within } from './store-follow-cases.ts';
import type { SuiteCases } from './suite.ts';

const unavailable = { code: 'store.unavailable' };

export const storeLifeCases: SuiteCases<StoreWorld> = {
  async 'everything is there when the store is opened again'(world) {
    const { events, states, snapshots, records } = world.store;
    const last = await appendAll(events, stream('a'), numbered('a', 10));
    const state = await appendAll(states, stream('a'), ['old', 'new']);
    await snapshots.save(stream('a'), { sequence: last, body: bytes('snapshot') }, 2);
    const written = await records.write('checkpoint.x', 'value', 0);
    const again = await world.reopen();
    assert.deepEqual(texts(await readAll(again.events)), numbered('a', 10));
    assert.equal(texts(await readAll(again.states)).at(-1), 'new');
    assert.equal((await again.snapshots.load(stream('a')))[0]?.sequence, last);
    assert.equal((await again.records.read('checkpoint.x'))?.value, 'value');
    assert.equal((await append(again.events, stream('a'), last - 1, 'no')).kind, 'conflict');
    assert.ok((await appended(again.events, stream('a'), last, 'a11')) > last);
    assert.ok((await appended(again.states, stream('a'), state, 'newer')) > state);
    const rewritten = await again.records.write('checkpoint.x', 'next', written.applied ? written.revision : 0);
    assert.equal(rewritten.applied, true);
  },

  async 'sequences rise across closing, also when the last stream was trimmed'(world) {
    const first = await appendAll(world.store.events, stream('a'), numbered('a', 5));
    await world.store.events.trim(stream('a'), first);
    const again = await world.reopen();
    assert.ok((await appended(again.events, stream('b'), 0, 'b')) > first);
  },

  async 'the store says who holds its data and what acknowledged means, the same each time'(world) {
    const { privateId, durability } = world.store;
    assert.ok(durability.text.length > 10);
    const again = await world.reopen();
    assert.equal(again.privateId, privateId);
    assert.deepEqual(again.durability, durability);
  },

  async 'close answers what is under way'(world) {
    const { events } = world.store;
    const under = Array.from({ length: 100 }, (_, i) => append(events, stream(`k${i}`), 0, `${i}`));
    await within('close', world.store.close());
    const outcomes = await within('the answers', Promise.all(under));
    const stored = texts(await readAll((await world.reopen()).events));
    for (const [i, outcome] of outcomes.entries()) {
      assert.equal(outcome.kind, 'appended', `append ${i}`);
      assert.ok(stored.includes(`${i}`), `append ${i}`);
    }
  },

  async 'after close appends are refused and reads rejected, and closing again changes nothing'(world) {
    const { events, states, snapshots, records, ...store } = world.store;
    await appended(events, stream('a'), 0, 'one');
    await world.store.close();
    await world.store.close();
    assert.ok(store.durability.text.length > 0);
    for (const log of [events, states]) {
      const outcome = await append(log, stream('a'), 0, 'late');
      assert.ok(outcome.kind === 'refused' && outcome.reason === 'unavailable', JSON.stringify(outcome));
      await assert.rejects(readAll(log), unavailable);
      await assert.rejects(log.last(), unavailable);
      await assert.rejects(log.trim(stream('a'), 1), unavailable);
    }
    await assert.rejects(snapshots.load(stream('a')), unavailable);
    await assert.rejects(snapshots.save(stream('a'), { sequence: 1, body: bytes('x') }, 1), unavailable);
    await assert.rejects(records.read('a'), unavailable);
    await assert.rejects(records.write('a', 'x', 0), unavailable);
    assert.deepEqual(texts(await readAll((await world.reopen()).events)), ['one']);
  },

  async 'a read that follows ends when the store is closed'(world) {
    const iterator = world.store.events.read({ after: 0, batchMax: 10, follow: true })[Symbol.asyncIterator]();
    await within('the live signal', iterator.next());
    const waiting = iterator.next().then(
      (result) => result.done === true,
      (error: unknown) => (error as { code?: unknown }).code === 'store.unavailable',
    );
    await within('close', world.store.close());
    assert.equal(await within('the end of the read', waiting), true, 'it ended or was rejected with store.unavailable');
  },
};
