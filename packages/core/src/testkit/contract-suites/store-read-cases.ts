import assert from 'node:assert/strict';
import type { CommitLog, LogRecord } from '../../contract/commit-log.ts';
import { oddKeys } from './store-append-cases.ts';
import { append, appendAll, appended, numbered, ReadCheck, readAll, stream, texts } from './store-world.ts';
import type { StoreWorld } from './store-world.ts';
import type { SuiteCases } from './suite.ts';

/** Six streams of three types, appended to in turn; gives the bodies in the order of their appends. */
async function mixed(
  log: CommitLog,
  rounds: number,
): Promise<readonly { readonly type: string; readonly key: string; readonly body: string }[]> {
  const names = ['Account', 'Order', 'Account2'].flatMap((type) => ['k1', 'k2'].map((key) => stream(key, type)));
  const heads = new Map<string, number>();
  const written: { type: string; key: string; body: string }[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    for (const name of names) {
      const id = `${name.type}/${name.key}`;
      heads.set(id, await appended(log, name, heads.get(id) ?? 0, `${id} ${round}`));
      written.push({ ...name, body: `${id} ${round}` });
    }
  }
  return written;
}

export const storeReadCases: SuiteCases<StoreWorld> = {
  async 'a read of an empty log ends without a record'({ store: { events } }) {
    assert.deepEqual(await readAll(events), []);
    assert.deepEqual(await readAll(events, { stream: stream('a') }), []);
    assert.deepEqual(await readAll(events, { stream: stream('a'), many: true }), []);
    assert.deepEqual(await readAll(events, { after: 1_000 }), []);
    assert.equal(await events.last(), 0);
  },

  async 'a read of all gives every record in the order of the appends, whatever the size of its batches'({ store: { events } }) {
    const written = (await mixed(events, 5)).map(({ body }) => body);
    for (const batchMax of [1, 2, 7, 30, 10_000]) assert.deepEqual(texts(await readAll(events, { batchMax })), written, `${batchMax}`);
  },

  async 'a read begins after the sequence it was told, also when that one is not of its streams'({ store: { events } }) {
    await mixed(events, 4);
    const all = await readAll(events);
    const of = (records: readonly LogRecord[]): readonly number[] => records.map(({ sequence }) => sequence);
    const mine = of(await readAll(events, { stream: stream('k2', 'Order') }));
    assert.deepEqual(of(await readAll(events, { stream: stream('k2', 'Order'), many: true, batchMax: 3 })), mine);
    for (const { sequence } of all) {
      assert.deepEqual(
        of(await readAll(events, { after: sequence, batchMax: 3 })),
        of(all).filter((other) => other > sequence),
      );
      const found = of(await readAll(events, { after: sequence, stream: stream('k2', 'Order'), batchMax: 3 }));
      assert.deepEqual(
        found,
        mine.filter((other) => other > sequence),
      );
    }
  },

  async 'filters by type and by stream, and both together mean both'({ store: { events } }) {
    const written = await mixed(events, 3);
    const wanted = (fits: (type: string, key: string) => boolean): readonly string[] =>
      written.filter(({ type, key }) => fits(type, key)).map(({ body }) => body);
    const found = async (filter: Parameters<typeof readAll>[1]): Promise<readonly string[]> =>
      texts(await readAll(events, { batchMax: 4, ...filter }));
    assert.deepEqual(
      await found({ types: ['Account'] }),
      wanted((type) => type === 'Account'),
    );
    assert.deepEqual(
      await found({ types: ['Order', 'Account2'] }),
      wanted((type) => type !== 'Account'),
    );
    assert.deepEqual(
      await found({ stream: stream('k1') }),
      wanted((type, key) => type === 'Account' && key === 'k1'),
    );
    assert.deepEqual(
      await found({ types: ['Order', 'Account'], stream: stream('k1') }),
      wanted((type, key) => type === 'Account' && key === 'k1'),
    );
    assert.deepEqual(await found({ types: ['Order'], stream: stream('k1') }), []);
    assert.deepEqual(await found({ types: ['Missing'] }), []);
    assert.deepEqual(await found({ types: [] }), []);
    assert.deepEqual(await found({ types: [], stream: stream('k1') }), []);
    assert.deepEqual(
      await found({ types: undefined, stream: undefined }),
      wanted(() => true),
    );
  },

  async 'a read after an acknowledged append gives it, of the stream, of the type and of all'({ store: { events } }) {
    let sequence = 0;
    for (let i = 0; i < 60; i += 1) {
      sequence = await appended(events, stream('a'), sequence, `${i}`);
      const reads = await Promise.all([
        readAll(events, { stream: stream('a'), after: sequence - 1 }),
        readAll(events, { stream: stream('a'), after: sequence - 1, many: true }),
        readAll(events, { types: ['Account'], after: sequence - 1 }),
        readAll(events, { after: sequence - 1 }),
      ]);
      for (const records of reads) assert.deepEqual([records.at(-1)?.sequence, texts(records).at(-1)], [sequence, `${i}`]);
    }
  },

  async 'a read that does not follow ends with what it found, though appends go on'({ store: { events } }) {
    let sequence = await appendAll(events, stream('a'), numbered('a', 20));
    const end = sequence;
    const check = new ReadCheck(0, 3);
    for await (const batch of events.read({ after: 0, batchMax: 3 })) {
      check.take(batch);
      sequence = await appended(events, stream('a'), sequence, 'later');
      assert.ok(check.records.length < 100, 'the read goes on for ever');
    }
    assert.deepEqual(texts(check.records.filter((record) => record.sequence <= end)), numbered('a', 20));
  },

  async 'a read with an aborted signal ends without an error, at its beginning and in its midst'({ store: { events } }) {
    await appendAll(events, stream('a'), numbered('a', 20));
    const aborted = AbortSignal.abort();
    for await (const batch of events.read({ after: 0, batchMax: 3, signal: aborted })) assert.fail(`gave ${batch.records.length} records`);
    const control = new AbortController();
    let batches = 0;
    for await (const batch of events.read({ after: 0, batchMax: 3, signal: control.signal })) {
      assert.ok(batch.records.length <= 3);
      batches += 1;
      control.abort();
    }
    assert.equal(batches, 1);
  },

  async 'a read that is left halfway hurts no other'({ store: { events } }) {
    await appendAll(events, stream('a'), numbered('a', 30));
    for (let i = 0; i < 20; i += 1) {
      for await (const batch of events.read({ after: 0, batchMax: 2, follow: i % 2 === 0 })) {
        assert.equal(batch.records.length, 2);
        break;
      }
    }
    assert.deepEqual(texts(await readAll(events)), numbered('a', 30));
  },

  async 'many large records come in one read, none missing'({ store: { events } }) {
    const length = Math.min(events.bodyBytesMax, 100_000);
    const sizes = Array.from({ length: 40 }, (_, i) => length - i);
    let sequence = 0;
    for (const size of sizes) sequence = await appended(events, stream('a'), sequence, new Uint8Array(size).fill(size & 0xff));
    const records = await readAll(events, { stream: stream('a'), batchMax: 1_000 });
    assert.deepEqual(
      records.map(({ body }) => [body.length, body.at(-1)]),
      sizes.map((size) => [size, size & 0xff]),
    );
  },

  async 'the highest sequence is known'({ store: { events } }) {
    const last = await appendAll(events, stream('a'), numbered('a', 5));
    const other = await appended(events, stream('b'), 0, 'b');
    assert.ok(other > last);
    let known = 0;
    for (let i = 0; i < 1_000 && known < other; i += 1) known = await events.last();
    assert.equal(known, other);
  },

  async 'a barrier lies above all that was acknowledged before, through whatever object, and no read gives it'({
    store: { events, states },
  }) {
    for (const log of [events, states]) {
      let head = 0;
      let before = 0;
      for (let i = 0; i < 5; i += 1) {
        head = await appended(log, stream('a'), head, `a${i}`);
        const barriers = await Promise.all([log.barrier(), log.barrier(), log.barrier()]);
        for (const barrier of barriers) assert.ok(barrier >= head, `${barrier} lies below ${head}`);
        const least = Math.min(...barriers);
        assert.ok(least >= before, `${least} lies below ${before}`);
        before = least;
      }
      const all = texts(await readAll(log));
      assert.deepEqual(all, log === events ? ['a0', 'a1', 'a2', 'a3', 'a4'] : ['a4']);
      let lives = 0;
      for await (const { records, live } of log.read({ after: 0, batchMax: 100, follow: true })) {
        lives += records.length;
        if (live) break;
      }
      assert.equal(lives, all.length);
    }
  },

  async 'a stream of which there is nothing is empty also for a log that has reached a barrier, and others are as they are'(world) {
    const { events } = world.store;
    const other = world.hasAnother ? (await world.another()).events : events;
    await appended(other, stream('a'), 0, 'a1');
    const found = async (key: string): Promise<readonly string[]> =>
      texts(await readAll(events, { stream: stream(key), reached: () => events.barrier() }));
    assert.deepEqual(await found('b'), []);
    assert.deepEqual(await found('a'), ['a1']);
    await appended(other, stream('b'), 0, 'b1');
    assert.deepEqual(await found('b'), ['b1']);
    assert.deepEqual(await found('c'), []);
  },

  async 'trim removes what lies before, and the last record of a stream stays'({ store: { events } }) {
    const sequences: number[] = [];
    for (let i = 0; i < 6; i += 1) sequences.push(await appended(events, stream('a'), sequences.at(-1) ?? 0, `a${i}`));
    const other = await appendAll(events, stream('b'), numbered('b', 3));
    const rest = async (): Promise<readonly string[]> => texts(await readAll(events, { stream: stream('a'), batchMax: 2 }));
    await events.trim(stream('a'), sequences[0] ?? 0);
    assert.equal((await rest()).length, 6);
    await events.trim(stream('a'), sequences[2] ?? 0);
    assert.deepEqual(await rest(), ['a2', 'a3', 'a4', 'a5']);
    await events.trim(stream('a'), sequences[2] ?? 0);
    await events.trim(stream('a'), sequences[1] ?? 0);
    assert.deepEqual(await rest(), ['a2', 'a3', 'a4', 'a5']);
    await events.trim(stream('a'), other + 1_000);
    assert.deepEqual(await rest(), ['a5']);
    await events.trim(stream('missing'), other);
    assert.deepEqual(texts(await readAll(events)), ['a5', 'b1', 'b2', 'b3']);
    assert.equal((await append(events, stream('a'), 0, 'must not be seen')).kind, 'conflict');
    await appended(events, stream('a'), sequences[5] ?? 0, 'a6');
    assert.deepEqual(await rest(), ['a5', 'a6']);
  },

  async 'trim touches one stream only, whatever its key looks like'({ store: { events } }) {
    const heads = new Map<string, number>();
    for (const key of oddKeys) heads.set(key, await appended(events, stream(key), 0, 'one'));
    for (const [key, head] of heads) heads.set(key, await appended(events, stream(key), head, 'two'));
    const end = Math.max(...heads.values()) + 1;
    for (const key of ['*', '>', 'x.*', 'x.>', '%', '_', '']) {
      await events.trim(stream(key), end);
      heads.delete(key);
      assert.deepEqual(texts(await readAll(events, { stream: stream(key) })), ['two']);
    }
    for (const key of heads.keys()) {
      assert.deepEqual(
        texts(await readAll(events, { stream: stream(key) })),
        ['one', 'two'],
        `after others were trimmed: ${JSON.stringify(key.slice(0, 20))}`,
      );
    }
  },
};
