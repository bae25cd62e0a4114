import assert from 'node:assert/strict';
import type { CommitLog } from '../../contract/commit-log.ts';
import type { OpenStore } from '../../contract/store.ts';
import { append, appendAll, appended, pattern, readAll, stream, text, texts } from './store-world.ts';
import type { StoreWorld } from './store-world.ts';
import type { SuiteCases } from './suite.ts';

/** Texts that some store, subject, path or statement might take for something else than a name. */
export const oddKeys: readonly string[] = [
  ...['', '.', 'a..b', '.a', 'a.', '*', '>', 'x.*', 'x.a', 'x.>', ' ', '\t', '\r\n', '\u0000', '\u000b', '\u00a0', '\u2028', '😀'],
  ...['\u00e9', 'e\u0301', '__proto__', 'constructor', "'; drop table commits; --", '"', '%', '_', '\\', '/', '../..', 'a/b', 'A', 'a'],
  ...['-1', '0', 'null', '$KV.x', 'x'.repeat(10_000), '€'.repeat(20_000)],
];

async function conflict(log: CommitLog, key: string, expected: number): Promise<void> {
  assert.deepEqual(
    await append(log, stream(key), expected, 'must not be seen'),
    { kind: 'conflict' },
    `an append to ${key} at ${expected}`,
  );
}

/** The same laws hold for both logs. */
function expectationCasesOf(name: 'events' | 'states'): SuiteCases<StoreWorld> {
  const logOf = (store: OpenStore): CommitLog => store[name];
  return {
    async [`${name}: the first append of a stream expects 0, the next one the sequence of the last`]({ store }) {
      const log = logOf(store);
      const first = await appended(log, stream('a'), 0, 'one');
      assert.ok(Number.isSafeInteger(first) && first > 0);
      const second = await appended(log, stream('a'), first, 'two');
      assert.ok(second > first && second <= 2 ** 42);
      const records = await readAll(log, { stream: stream('a') });
      assert.equal(records.at(-1)?.sequence, second);
      assert.equal(text(records.at(-1)), 'two');
    },

    async [`${name}: another expectation than the last sequence is a conflict and stores nothing`]({ store }) {
      const log = logOf(store);
      await conflict(log, 'missing', 7);
      const first = await appended(log, stream('a'), 0, 'one');
      await conflict(log, 'a', 0);
      const other = await appended(log, stream('b'), 0, 'other');
      await conflict(log, 'a', other);
      await conflict(log, 'a', first + 1_000);
      const second = await appended(log, stream('a'), first, 'two');
      await conflict(log, 'a', first);
      await conflict(log, 'a', 0);
      await appended(log, stream('a'), second, 'three');
      assert.ok(!texts(await readAll(log)).includes('must not be seen'));
      assert.deepEqual(await readAll(log, { stream: stream('missing') }), []);
    },

    async [`${name}: an epoch that stays or rises is taken`]({ store }) {
      const log = logOf(store);
      let sequence = 0;
      for (const epoch of [1, 1, 2, 1_700_000_000_000, 1_700_000_000_000, 1_900_000_000_001]) {
        sequence = await appended(log, stream('a'), sequence, `${epoch}`, { epoch });
      }
      assert.equal(text((await readAll(log, { stream: stream('a') })).at(-1)), '1900000000001');
    },
  };
}

function contentCasesOf(name: 'events' | 'states'): SuiteCases<StoreWorld> {
  const logOf = (store: OpenStore): CommitLog => store[name];
  return {
    async [`${name}: bodies of any bytes and up to the limit come back whole`]({ store }) {
      const log = logOf(store);
      const every = pattern(256);
      const large = pattern(log.bodyBytesMax);
      const bodies = [every, Uint8Array.of(0), large, every.subarray(13, 200)];
      for (const [i, body] of bodies.entries()) await appended(log, stream(`k${i}`), 0, body);
      for (const [i, body] of bodies.entries()) {
        const [record] = await readAll(log, { stream: stream(`k${i}`) });
        assert.ok(record !== undefined && Buffer.compare(record.body, body) === 0, `body ${i}`);
      }
    },

    async [`${name}: a body over the limit is refused, stores nothing, and the stream goes on`]({ store }) {
      const log = logOf(store);
      const first = await appended(log, stream('a'), 0, 'one');
      const outcome = await append(log, stream('a'), first, new Uint8Array(log.bodyBytesMax + 1));
      assert.ok(outcome.kind === 'refused' && outcome.reason === 'too_large', JSON.stringify(outcome));
      assert.ok(outcome.text.length > 0);
      await appended(log, stream('a'), first, 'two');
      assert.equal(text((await readAll(log, { stream: stream('a') })).at(-1)), 'two');
    },

    async [`${name}: keys of any characters are kept apart`]({ store }) {
      const log = logOf(store);
      const first = new Map<string, number>();
      for (const [i, key] of oddKeys.entries()) first.set(key, await appended(log, stream(key), 0, `first ${i}`));
      for (const [i, key] of oddKeys.entries()) await appended(log, stream(key), first.get(key) ?? 0, `second ${i}`);
      for (const [i, key] of oddKeys.entries()) {
        const found = texts(await readAll(log, { stream: stream(key) }));
        assert.deepEqual(
          found,
          name === 'events' ? [`first ${i}`, `second ${i}`] : [`second ${i}`],
          `the key ${JSON.stringify(key.slice(0, 20))}`,
        );
      }
    },
  };
}

function manyStreamsCasesOf(name: 'events' | 'states'): SuiteCases<StoreWorld> {
  const logOf = (store: OpenStore): CommitLog => store[name];
  return {
    async [`${name}: one key of several types is several streams`]({ store }) {
      const log = logOf(store);
      const types = ['Account', 'Account2', 'account', 'Order', 'A', 'T'.repeat(64)];
      for (const type of types) await appended(log, stream('same', type), 0, type);
      for (const type of types) assert.deepEqual(texts(await readAll(log, { stream: stream('same', type) })), [type]);
    },

    async [`${name}: appends of many streams at once are all applied`]({ store }) {
      const log = logOf(store);
      const run = (i: number): Promise<number> => appendAll(log, stream(`k${i}`), [`${i} one`, `${i} two`, `${i} three`]);
      const last = await Promise.all(Array.from({ length: 200 }, (_, i) => run(i)));
      assert.equal(new Set(last).size, 200);
      const records = await readAll(log);
      for (const [i, sequence] of last.entries()) {
        assert.equal(text(records.find((record) => record.sequence === sequence)), `${i} three`);
      }
    },

    async [`${name}: appends that wait for no answer are compared in the order in which they were made`]({ store }) {
      const log = logOf(store);
      const first = await appended(log, stream('a'), 0, 'one');
      const outcomes = await Promise.all([
        append(log, stream('a'), first, 'two'),
        append(log, stream('a'), first, 'late'),
        append(log, stream('b'), 0, 'other'),
      ]);
      assert.deepEqual(
        outcomes.map((outcome) => outcome.kind),
        ['appended', 'conflict', 'appended'],
      );
    },
  };
}

export const storeAppendCases: SuiteCases<StoreWorld> = {
  ...expectationCasesOf('events'),
  ...contentCasesOf('events'),
  ...manyStreamsCasesOf('events'),
  ...expectationCasesOf('states'),
  ...contentCasesOf('states'),
  ...manyStreamsCasesOf('states'),
};
