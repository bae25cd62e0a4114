import assert from 'node:assert/strict';
import { appendAll, appended, numbered, readAll, stream, texts } from './store-world.ts';
import type { StoreWorld } from './store-world.ts';
import type { SuiteCases } from './suite.ts';

export const storeStateCases: SuiteCases<StoreWorld> = {
  async 'states: a read of all gives the last record of each stream'({ store: { states } }) {
    await Promise.all(numbered('k', 20).map((key) => appendAll(states, stream(key), numbered(`${key} `, 10))));
    const found = texts(await readAll(states, { batchMax: 3 }));
    for (const key of numbered('k', 20)) assert.equal(found.filter((body) => body.startsWith(`${key} `)).at(-1), `${key} 10`);
  },

  async 'states: a stream of events and one of states with one name are apart'({ store: { events, states } }) {
    const event = await appended(events, stream('a'), 0, 'event');
    const state = await appended(states, stream('a'), 0, 'state');
    await appended(events, stream('a'), event, 'event 2');
    await appended(states, stream('a'), state, 'state 2');
    assert.deepEqual(texts(await readAll(events)), ['event', 'event 2']);
    assert.equal(texts(await readAll(states)).at(-1), 'state 2');
  },
};
