import assert from 'node:assert/strict';
import { systemClock } from '../../base/clock.ts';
import type { CommitLog } from '../../contract/commit-log.ts';
import { append, appendAll, appended, numbered, ReadCheck, readAll, stream, texts } from './store-world.ts';
import type { ReadExtras, StoreWorld } from './store-world.ts';
import type { SuiteCases } from './suite.ts';

const limitMs = 10_000;

/** Fails, instead of hanging, what does not happen within 10 s. */
export async function within<T>(what: string, promise: Promise<T>): Promise<T> {
  let fail = (): void => {};
  const late = new Promise<never>((_, reject) => {
    fail = () => reject(new Error(`waited ${limitMs} ms in vain for ${what}`));
  });
  const timer = systemClock.setTimer(limitMs, () => fail());
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.cancel();
  }
}

/** A read that follows, pulled only when a case asks. */
class Follower {
  readonly check: ReadCheck;
  readonly #control = new AbortController();
  readonly #iterator: ReturnType<ReturnType<CommitLog['read']>[typeof Symbol.asyncIterator]>;

  constructor(log: CommitLog, { after = 0, batchMax = 100, ...filter }: ReadExtras = {}) {
    this.check = new ReadCheck(after, batchMax);
    this.#iterator = log.read({ after, batchMax, ...filter, follow: true, signal: this.#control.signal })[Symbol.asyncIterator]();
  }

  get texts(): readonly string[] {
    return texts(this.check.records);
  }

  async until(what: string, isDone: (check: ReadCheck) => boolean): Promise<void> {
    while (!isDone(this.check)) {
      const result = await within(what, this.#iterator.next());
      assert.ok(result.done !== true, `the read ended before ${what}`);
      this.check.take(result.value);
    }
  }

  untilCount(count: number): Promise<void> {
    return this.until(`${count} records`, ({ records }) => records.length >= count);
  }

  untilLive(): Promise<void> {
    return this.until('the live signal', ({ live }) => live);
  }

  /** Aborts; resolves when the read has ended. */
  async stop(): Promise<void> {
    const next = this.#iterator.next();
    this.#control.abort();
    for (let result = await within('the end of a read', next); result.done !== true;) {
      result = await within('the end of a read', this.#iterator.next());
    }
  }
}

export const storeFollowCases: SuiteCases<StoreWorld> = {
  async 'a read that follows catches up, says that it is live, then gives what is appended'({ store: { events } }) {
    let sequence = await appendAll(events, stream('a'), numbered('a', 25));
    const follower = new Follower(events, { batchMax: 10 });
    await follower.untilCount(1);
    assert.equal(follower.check.live, false, 'the first of several batches is not live');
    await follower.untilLive();
    assert.deepEqual(follower.texts, numbered('a', 25));
    for (let i = 26; i <= 40; i += 1) {
      sequence = await appended(events, stream('a'), sequence, `a${i}`);
      if (i % 3 === 0) await follower.untilCount(i);
    }
    await follower.untilCount(40);
    await follower.untilLive();
    assert.deepEqual(follower.texts, numbered('a', 40));
    await follower.stop();
  },

  async 'a read that follows an empty log says that it is live'({ store: { events } }) {
    const follower = new Follower(events);
    await follower.untilLive();
    assert.deepEqual(follower.check.records, []);
    await appended(events, stream('a'), 0, 'one');
    await follower.untilCount(1);
    await follower.stop();
  },

  async 'a read that follows one that has all says that it is live, and begins after it'({ store: { events } }) {
    const last = await appendAll(events, stream('a'), numbered('a', 5));
    const follower = new Follower(events, { after: last });
    await follower.untilLive();
    await appended(events, stream('a'), last, 'a6');
    await follower.untilCount(1);
    assert.deepEqual(follower.texts, ['a6']);
    await follower.stop();
  },

  async 'filters hold before and after a read became live'({ store: { events } }) {
    const order = await appendAll(events, stream('k', 'Order'), numbered('o', 3));
    const one = await appendAll(events, stream('k1'), numbered('x', 3));
    const two = await appendAll(events, stream('k2'), numbered('y', 3));
    const byType = new Follower(events, { types: ['Order'] });
    const byStream = new Follower(events, { stream: stream('k2') });
    const byBoth = new Follower(events, { types: ['Account', 'Order'], stream: stream('k1') });
    const byNone = new Follower(events, { types: [] });
    const followers = [byType, byStream, byBoth, byNone];
    for (const follower of followers) await follower.untilLive();
    await appended(events, stream('k1'), one, 'x4');
    await appended(events, stream('k', 'Order'), order, 'o4');
    await appended(events, stream('k2'), two, 'y4');
    for (const follower of followers.slice(0, 3)) await follower.untilCount(4);
    assert.deepEqual(byType.texts, numbered('o', 4));
    assert.deepEqual(byStream.texts, numbered('y', 4));
    assert.deepEqual(byBoth.texts, numbered('x', 4));
    for (const follower of followers) await follower.stop();
    assert.deepEqual(byNone.texts, []);
  },

  async 'a slow reader holds no append back and misses nothing'({ store: { events } }) {
    const follower = new Follower(events, { batchMax: 16 });
    await follower.untilLive();
    const body = 'x'.repeat(1_000);
    const write = (key: string): Promise<number> => appendAll(events, stream(key), numbered(`${key}${body}`, 100));
    await within('appends beside a slow reader', Promise.all(numbered('k', 20).map(write)));
    assert.equal(follower.check.records.length, 0);
    await follower.untilCount(2_000);
    await follower.untilLive();
    assert.deepEqual(follower.texts, texts(await readAll(events, { batchMax: 1_000 })));
    await follower.stop();
  },

  async 'several that follow are given the same records in the same order, while they are appended'({ store: { events } }) {
    const followers = Array.from({ length: 8 }, (_, i) => new Follower(events, { batchMax: 1 + i * 5 }));
    const writing = Promise.all(numbered('k', 10).map((key) => appendAll(events, stream(key), numbered(`${key} `, 30))));
    await Promise.all(followers.map((follower) => follower.untilCount(300)));
    await writing;
    const all = texts(await readAll(events));
    for (const follower of followers) {
      assert.deepEqual(follower.texts, all);
      await follower.stop();
    }
  },

  async 'a read that follows sees what another node appends'(world) {
    const other = await world.another();
    const follower = new Follower(world.store.events);
    await follower.untilLive();
    let last = 0;
    for (let i = 1; i <= 20; i += 1) {
      const { events } = i % 2 === 0 ? other : world.store;
      last = await appended(events, stream('a'), last, `a${i}`);
    }
    await follower.untilCount(20);
    assert.deepEqual(follower.texts, numbered('a', 20));
    await follower.stop();
  },

  async 'a read that waits ends at once when its signal aborts'({ store: { events } }) {
    const last = await appendAll(events, stream('a'), numbered('a', 3));
    const follower = new Follower(events);
    await follower.untilLive();
    await follower.stop();
    assert.equal((await append(events, stream('a'), last, 'a4')).kind, 'appended');
    assert.deepEqual(follower.texts, numbered('a', 3));
  },
};
