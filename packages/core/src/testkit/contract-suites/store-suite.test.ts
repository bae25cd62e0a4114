import { expect, test } from 'vitest';
import type { CommitLog, LogAppend, LogRead } from '../../contract/commit-log.ts';
import type { OpenStore, Store } from '../../contract/store.ts';
import { memoryStore } from '../../memory/memory-store.ts';
import { storeSuite } from './store-suite.ts';
import type { SuiteTest } from './suite.ts';

/** The names of the cases that fail for a store that was spoilt. */
async function failures(spoil: (open: OpenStore) => Partial<OpenStore>, only: RegExp): Promise<readonly string[]> {
  const cases: { name: string; run: () => Promise<void> }[] = [];
  const collect: SuiteTest = Object.assign((name: string, run: () => Promise<void>) => cases.push({ name, run }), { skip: () => {} });
  storeSuite({
    test: collect,
    name: 'broken',
    open: () => {
      const inner = memoryStore({ recordBytesMax: 200_000, snapshotBytesMax: 200_000 });
      const store: Store = {
        name: 'broken',
        open: async (environment) => {
          const open = await inner.open(environment);
          return { ...open, ...spoil(open) };
        },
      };
      return Promise.resolve({ store, another: store, cluster: 'c', close: () => Promise.resolve() });
    },
  });
  const failed: string[] = [];
  for (const { name, run } of cases) {
    if (only.test(name)) await run().catch(() => failed.push(name.replace('broken: ', '')));
  }
  return failed;
}

const events = (open: OpenStore, spoilt: Partial<CommitLog>): Partial<OpenStore> => {
  const { events: log } = open;
  return {
    events: {
      bodyBytesMax: log.bodyBytesMax,
      append: (append) => log.append(append),
      read: (read) => log.read(read),
      last: () => log.last(),
      barrier: () => log.barrier(),
      trim: (of, before) => log.trim(of, before),
      ...spoilt,
    },
  };
};

test('the suite passes what is not broken', async () => {
  expect(await failures((open) => events(open, {}), /./)).toEqual([]);
});

test('a log that does not compare, or takes what is too large, is found', async () => {
  const careless = (open: OpenStore): Partial<OpenStore> =>
    events(open, {
      append: async (append: LogAppend) => {
        const body = append.body.subarray(0, open.events.bodyBytesMax);
        for (;;) {
          let expectedSequence = 0;
          for await (const { records } of open.events.read({ stream: append.stream, after: 0, batchMax: 1_000 })) {
            expectedSequence = records.at(-1)?.sequence ?? expectedSequence;
          }
          const outcome = await open.events.append({ ...append, expectedSequence, body });
          if (outcome.kind === 'appended') return outcome;
        }
      },
    });
  expect(await failures(careless, /conflict|limit|without a gap|one is applied/)).toEqual([
    'events: another expectation than the last sequence is a conflict and stores nothing',
    'events: a body over the limit is refused, stores nothing, and the stream goes on',
    'of 50 appends with one expectation at once, one is applied',
    '10 writers with 50 rounds each on one stream leave versions without a gap or a double',
    '10 writers on two nodes with 50 rounds each leave versions without a gap or a double',
  ]);
});

test('reads that lag, filter wrongly, or say too early that they are live are found', async () => {
  const lagging = (open: OpenStore): Partial<OpenStore> => {
    let known = 0;
    return events(open, {
      async *read(read: LogRead) {
        const upTo = known;
        known = await open.events.last();
        for await (const batch of open.events.read(read))
          yield { ...batch, records: batch.records.filter(({ sequence }) => sequence <= upTo) };
      },
    });
  };
  expect(await failures(lagging, /acknowledged append/)).toHaveLength(1);
  const oneFilter = (open: OpenStore): Partial<OpenStore> =>
    events(open, {
      read: (read) => open.events.read({ ...read, types: read.types?.length === 0 || read.stream !== undefined ? undefined : read.types }),
    });
  expect(await failures(oneFilter, /filters by/)).toHaveLength(1);
  const alwaysLive = (open: OpenStore): Partial<OpenStore> =>
    events(open, {
      async *read(read: LogRead) {
        for await (const batch of open.events.read(read)) yield { ...batch, live: true };
      },
    });
  expect(await failures(alwaysLive, /catches up/)).toHaveLength(1);
});

test('a barrier of a copy that lags, and one that reads give, are found', async () => {
  const lagging = (open: OpenStore): Partial<OpenStore> => {
    let known = 0;
    return events(open, {
      async barrier() {
        const old = known;
        known = await open.events.last();
        return old;
      },
    });
  };
  expect(await failures(lagging, /barrier lies/)).toHaveLength(1);
  const visible = (open: OpenStore): Partial<OpenStore> => {
    let count = 0;
    return events(open, {
      async barrier() {
        const of = { type: 'Own', key: `barrier ${(count += 1)}` };
        const outcome = await open.events.append({ stream: of, shard: 0, expectedSequence: 0, epoch: 1, body: new Uint8Array(1) });
        return outcome.kind === 'appended' ? outcome.sequence : 0;
      },
    });
  };
  expect(await failures(visible, /barrier lies/)).toHaveLength(1);
});

test('trimming by the beginning of a key, and trimming all, are found', async () => {
  const wide = (open: OpenStore): Partial<OpenStore> =>
    events(open, {
      trim: async ({ type, key }, before) => {
        for (const other of key === 'x.*' ? ['x.*', 'x.a'] : [key]) await open.events.trim({ type, key: other }, before);
      },
    });
  expect(await failures(wide, /trim/)).toEqual(['trim touches one stream only, whatever its key looks like']);
});

test('snapshots that are kept in the order of their saving, and lists that match more than the prefix, are found', async () => {
  const unordered = (open: OpenStore): Partial<OpenStore> => ({
    snapshots: {
      bodyBytesMax: open.snapshots.bodyBytesMax,
      save: (of, snapshot, kept) => open.snapshots.save(of, snapshot, kept),
      load: async (of) => (await open.snapshots.load(of)).toReversed(),
      forget: (of) => open.snapshots.forget(of),
    },
    records: {
      read: (key) => open.records.read(key),
      write: (key, value, expected) => open.records.write(key, value, expected),
      forget: (key, upTo) => open.records.forget(key, upTo),
      list: (prefix) => open.records.list(prefix.slice(0, -1)),
    },
  });
  expect(await failures(unordered, /snapshots: several|late displaces|a list gives what/)).toHaveLength(3);
});
