import { describe, expect, test } from 'vitest';
import { MetricsRegistry } from '../base/metrics-registry.ts';
import { seededRandom } from '../base/random.ts';
import { systemClock } from '../base/clock.ts';
import type { StreamName } from '../contract/commit-log.ts';
import type { OpenStore } from '../contract/store.ts';
import { memoryStore } from '../memory/memory-store.ts';
import { storeEnvironment } from '../testkit/contract-suites/store-world.ts';
import type { AppendResult } from './append-result.ts';
import { noHead } from './commit.ts';
import type { Commit, CommitDraft, StreamHead } from './commit.ts';
import { EventStore } from './event-store.ts';
import type { EventRead } from './event-reads.ts';
import type { StoredEvent } from './stored-event.ts';

const author = { epoch: 7, owner: 'n1/a' };
const alice: StreamName = { type: 'Account', key: 'alice' };

async function opened(): Promise<{ store: EventStore; open: OpenStore; metrics: MetricsRegistry }> {
  const open = await memoryStore().open(storeEnvironment());
  const metrics = new MetricsRegistry();
  const store = new EventStore({ log: open.events, clock: systemClock, random: seededRandom(1), metrics, shards: 64 });
  return { store, open, metrics };
}

function draft(store: EventStore, amounts: readonly number[], rest: Partial<CommitDraft> = {}): CommitDraft {
  const events = amounts.map((amount) => ({ name: 'MoneyDeposited', schema: 1, data: { amount } }));
  return { id: store.newCommitId(), at: 1_000, events, ...rest };
}

function headOf(result: AppendResult): StreamHead {
  expect(result.kind).toBe('appended');
  return result.kind === 'appended' ? result.head : noHead;
}

async function commitsOf(store: EventStore, stream: StreamName, from?: StreamHead): Promise<readonly Commit[]> {
  const commits: Commit[] = [];
  await store.load(stream, (commit) => commits.push(commit), { from });
  return commits;
}

async function eventsOf(store: EventStore, read: EventRead = {}): Promise<readonly StoredEvent[]> {
  const events: StoredEvent[] = [];
  for await (const batch of store.readAll(read)) events.push(...batch.events);
  return events;
}

describe('append and load', () => {
  test('what was appended is loaded, with versions, ids, positions and the head', async () => {
    const { store } = await opened();
    const metadata = { correlation: 'c', trace: '00-1-2-03', principal: 'p' };
    const first = headOf(await store.append(alice, noHead, author, draft(store, [1, 2], { id: 'one', metadata })));
    const second = headOf(await store.append(alice, first, { epoch: 8, owner: 'n2/b' }, draft(store, [3])));
    expect(first).toMatchObject({ sequence: 1, version: 2, epoch: 7, owner: 'n1/a', ended: false });
    const commits = await commitsOf(store, alice);
    expect(await store.load(alice, () => {})).toEqual(second);
    expect(commits.map(({ version, epoch, owner, previousHash }) => [version, epoch, owner, previousHash])).toEqual([
      [2, 7, 'n1/a', ''],
      [3, 8, 'n2/b', first.hash],
    ]);
    expect(commits.flatMap(({ events }) => events.map((event) => JSON.parse(JSON.stringify(event)) as unknown))[1]).toEqual({
      id: 'one-1',
      position: 1_025,
      version: 2,
      type: 'Account',
      key: 'alice',
      event: 'MoneyDeposited',
      schema: 1,
      at: 1_000,
      data: { amount: 2 },
      metadata,
    });
  });

  test('another head is a conflict, a higher epoch in it fences, and a tombstone ends the stream', async () => {
    const { store } = await opened();
    const first = headOf(await store.append(alice, noHead, author, draft(store, [1])));
    expect(await store.append(alice, noHead, author, draft(store, [2]))).toEqual({ kind: 'conflict' });
    const fenced = headOf(await store.fence(alice, first, { epoch: 9, owner: 'n2/b' }));
    expect(fenced).toMatchObject({ version: 1, epoch: 9 });
    expect(await store.append(alice, first, author, draft(store, [2]))).toEqual({ kind: 'conflict' });
    expect(await store.append(alice, fenced, author, draft(store, [2]))).toEqual({ kind: 'fenced', owner: 'n2/b', epoch: 9 });
    await expect(store.discard(alice, fenced)).rejects.toMatchObject({ code: 'stream.corrupt' });
    const ended = headOf(await store.tombstone(alice, fenced, { epoch: 9, owner: 'n2/b' }));
    expect(await store.append(alice, ended, { epoch: 9, owner: 'n2/b' }, draft(store, [2]))).toMatchObject({
      kind: 'refused',
      error: { code: 'stream.tombstoned', executed: 'no' },
    });
    expect((await store.verify(alice)).problems).toEqual([]);
    await store.discard(alice, ended);
    expect(await store.load(alice, () => {})).toEqual(ended);
    expect(await eventsOf(store)).toEqual([]);
    expect(await store.verify(alice)).toMatchObject({ records: 1, events: 0, problems: [] });
  });

  test('notes come back as they were given', async () => {
    const { store } = await opened();
    const notes = {
      reply: { idempotencyKey: 'k', method: 'deposit', caller: 'c', outcome: { ok: 5n } },
      outbox: [{ to: 'x' }, 'y'],
      delivered: 4,
      reminders: [{ name: 'a', reminder: { at: 5 } }, { name: 'b' }],
    };
    await store.append(alice, noHead, author, draft(store, [], notes));
    const [commit] = await commitsOf(store, alice);
    expect(commit?.notes()).toEqual(notes);
    expect(commit?.metadata).toEqual({});
    expect(commit?.events).toEqual([]);
  });

  test('what cannot be stored is refused before anything is', async () => {
    const { store } = await opened();
    const refusal = async (given: Partial<CommitDraft>): Promise<unknown> => {
      const result = await store.append(alice, noHead, author, draft(store, [1], given));
      return result.kind === 'refused' ? [result.error.code, result.error.executed] : result.kind;
    };
    const event = (data: unknown) => ({ events: [{ name: 'E', schema: 1, data }] });
    expect(await refusal(event('x'.repeat(1_000_001)))).toEqual(['commit.too_large', 'no']);
    expect(await refusal(event(() => 1))).toEqual(['payload.not_plain', 'no']);
    expect(await refusal(event(new Array(300_000).fill(1)))).toEqual(['commit.too_large', 'no']);
    expect(await refusal({ events: Array.from({ length: 1_001 }, () => ({ name: 'E', schema: 1, data: 1 })) })).toEqual([
      'commit.too_large',
      'no',
    ]);
    expect(await refusal({ reply: { idempotencyKey: 'k', method: 'm', caller: '', outcome: 'x'.repeat(900_000) } })).toEqual([
      'commit.too_large',
      'no',
    ]);
    expect(await commitsOf(store, alice)).toEqual([]);
    expect(await refusal({ events: Array.from({ length: 1_000 }, (_, i) => ({ name: 'E', schema: 1, data: i })) })).toBe('appended');
    expect((await eventsOf(store)).map(({ data }) => data)).toEqual(Array.from({ length: 1_000 }, (_, i) => i));
  });

  test('a value whose accessor commits meanwhile hurts neither', async () => {
    const { store } = await opened();
    let inner: Promise<AppendResult> | undefined;
    const data = {
      get amount(): number {
        inner ??= store.append({ type: 'Account', key: 'bob' }, noHead, author, draft(store, [2]));
        return 1;
      },
    };
    headOf(await store.append(alice, noHead, author, draft(store, [], { events: [{ name: 'E', schema: 1, data }] })));
    headOf(await (inner as Promise<AppendResult>));
    expect((await eventsOf(store)).map(({ key, data: stored }) => [key, stored])).toEqual([
      ['bob', { amount: 2 }],
      ['alice', { amount: 1 }],
    ]);
  });

  test('ids of commits with an idempotency key are the same each time, and bound to all that they are of', async () => {
    const { store } = await opened();
    const ids = [
      store.commitId(alice, 'm', 'c', 'k'),
      store.commitId({ type: 'Account', key: 'alic' }, 'em', 'c', 'k'),
      store.commitId(alice, 'm', 'ck', ''),
      store.commitId(alice, 'm', '', 'ck'),
      store.newCommitId(),
      store.newCommitId(),
    ];
    expect(new Set(ids).size).toBe(6);
    expect(store.commitId(alice, 'm', 'c', 'k')).toBe(ids[0]);
    for (const id of ids) expect(id).toMatch(/^[A-Za-z0-9_-]{8,28}$/);
  });
});

describe('reading all', () => {
  test('goes on exactly behind any position, and filters by type, stream and name', async () => {
    const { store } = await opened();
    const heads = new Map<string, StreamHead>();
    for (let i = 0; i < 12; i += 1) {
      const stream = { type: i % 2 === 0 ? 'Account' : 'Order', key: `k${i % 3}` };
      const id = `${stream.type}/${stream.key}`;
      const events = Array.from({ length: i % 4 }, (_, n) => ({ name: n === 0 ? 'First' : 'Rest', schema: 1, data: `${i}.${n}` }));
      heads.set(id, headOf(await store.append(stream, heads.get(id) ?? noHead, author, draft(store, [], { events }))));
    }
    const all = await eventsOf(store);
    const data = (events: readonly StoredEvent[]): readonly unknown[] => events.map((event) => event.data);
    expect(all).toHaveLength(18);
    for (const { position } of all) {
      expect(data(await eventsOf(store, { after: position, batchMax: 2 }))).toEqual(data(all.filter((other) => other.position > position)));
    }
    for await (const { events, through } of store.readAll({ batchMax: 2 })) {
      const last = events.at(-1)?.position ?? 0;
      expect(data(await eventsOf(store, { after: through }))).toEqual(
        data(all.filter(({ position }) => position > Math.max(last, through))),
      );
    }
    expect(data(await eventsOf(store, { types: ['Order'], events: ['Rest'] }))).toEqual(
      data(all.filter(({ type, event }) => type === 'Order' && event === 'Rest')),
    );
    const one = { type: 'Order', key: 'k1' };
    expect(data(await eventsOf(store, { stream: one }))).toEqual(data(all.filter(({ type, key }) => type === 'Order' && key === 'k1')));
    expect(await eventsOf(store, { stream: one, types: ['Account'] })).toEqual([]);
  });

  test('a subscription catches up, says that it is live, and goes on', async () => {
    const { store } = await opened();
    const first = headOf(await store.append(alice, noHead, author, draft(store, [1])));
    const control = new AbortController();
    const seen: unknown[] = [];
    for await (const { events, live } of store.subscribe({ signal: control.signal })) {
      seen.push(...events.map((event) => event.data), live);
      if (seen.length === 2) await store.append(alice, first, author, draft(store, [2, 3]));
      if (seen.length > 2) control.abort();
    }
    expect(seen).toEqual([{ amount: 1 }, true, { amount: 2 }, { amount: 3 }, true]);
  });
});

describe('verify', () => {
  test('finds what was written past the store', async () => {
    const { store, open } = await opened();
    const other = await opened();
    const append = async (from: EventStore, head: StreamHead, by: typeof author): Promise<StreamHead> =>
      headOf(await from.append(alice, head, by, draft(from, [1])));
    const first = await append(other.store, noHead, { epoch: 5, owner: 'n1/a' });
    const second = await append(other.store, first, { epoch: 5, owner: 'n2/b' });
    await append(other.store, second, { epoch: 6, owner: 'n1/a' });
    const records = (await commitsOf(other.store, alice)).map(({ body }) => body);
    let sequence = 0;
    for (const index of [0, 2, 1, 1]) {
      const outcome = await open.events.append({
        stream: alice,
        shard: 0,
        expectedSequence: sequence,
        epoch: 1,
        body: records[index] as Uint8Array,
      });
      sequence = outcome.kind === 'appended' ? outcome.sequence : -1;
    }
    await open.events.append({ stream: alice, shard: 0, expectedSequence: sequence, epoch: 1, body: Uint8Array.of(1, 2, 3) });
    const report = await store.verify(alice);
    expect(report.problems.map(({ sequence: at, what }) => `${at} ${what}`)).toEqual([
      '2 it begins behind version 2, not 1',
      '3 its epoch 5 lies before 6',
      '3 the epoch 5 has two owners',
      '4 its epoch 5 lies before 6',
      expect.stringMatching(/^5 The record 5 of the log cannot be read/) as unknown,
    ]);
    expect((await other.store.verify(alice)).problems).toEqual([{ sequence: 2, what: 'the epoch 5 has two owners' }]);
    await expect(commitsOf(store, alice)).rejects.toMatchObject({ code: 'stream.corrupt', executed: 'no', details: { sequence: 2 } });
  });

  test('finds what stands behind a tombstone, which loading refuses', async () => {
    const { store, open } = await opened();
    const other = await opened();
    const first = headOf(await other.store.append(alice, noHead, author, draft(other.store, [1])));
    headOf(await other.store.tombstone(alice, first, author));
    const bodies = (await commitsOf(other.store, alice)).map(({ body }) => body);
    let sequence = 0;
    for (const body of [bodies[0], bodies[1], bodies[1]]) {
      const outcome = await open.events.append({ stream: alice, shard: 0, expectedSequence: sequence, epoch: 1, body: body as Uint8Array });
      sequence = outcome.kind === 'appended' ? outcome.sequence : -1;
    }
    expect((await other.store.verify(alice)).problems).toEqual([]);
    expect((await store.verify(alice)).problems).toEqual([{ sequence: 3, what: 'it stands behind a tombstone' }]);
    await expect(commitsOf(store, alice)).rejects.toMatchObject({ code: 'stream.corrupt', executed: 'no', details: { sequence: 3 } });
  });

  test('finds a record that was put in the place of another', async () => {
    const { store, open } = await opened();
    const other = await opened();
    const first = headOf(await store.append(alice, noHead, author, draft(store, [1])));
    const theirs = headOf(await other.store.append(alice, noHead, author, draft(store, [99])));
    await other.store.append(alice, theirs, author, draft(store, [2]));
    const [, record] = await commitsOf(other.store, alice);
    await open.events.append({
      stream: alice,
      shard: 0,
      expectedSequence: first.sequence,
      epoch: 7,
      body: record?.body ?? new Uint8Array(),
    });
    expect((await store.verify(alice)).problems).toEqual([{ sequence: 2, what: 'it does not follow the record before it' }]);
    await expect(store.load(alice, () => {}, { from: first })).rejects.toMatchObject({ code: 'stream.corrupt' });
  });

  test('a head from elsewhere has to be the record that the log holds', async () => {
    const { store } = await opened();
    const first = headOf(await store.append(alice, noHead, author, draft(store, [1])));
    const second = headOf(await store.append(alice, first, author, draft(store, [2])));
    expect(await store.load(alice, () => expect.fail('nothing is behind it'), { from: second, confirm: true })).toEqual(second);
    for (const wrong of [
      { ...first, hash: second.hash },
      { ...second, sequence: 3 },
      { ...first, sequence: 2 },
    ]) {
      const visited: Commit[] = [];
      await expect(store.load(alice, (commit) => visited.push(commit), { from: wrong, confirm: true })).rejects.toMatchObject({
        code: 'stream.corrupt',
      });
      expect(visited).toEqual([]);
    }
  });
});

test('everything that is counted is counted', async () => {
  const { store, metrics } = await opened();
  const first = headOf(await store.append(alice, noHead, author, draft(store, [1, 2])));
  await store.append(alice, noHead, author, draft(store, [1]));
  await store.append(alice, { ...first, epoch: 99 }, author, draft(store, [1]));
  await store.append(alice, { ...first, ended: true }, author, draft(store, [1]));
  await store.load(alice, () => {});
  await expect(store.load(alice, () => {}, { from: { ...first, sequence: 9 }, confirm: true })).rejects.toThrow();
  const values = new Map<string, unknown>();
  for (const { name, series } of metrics.snapshot()) {
    for (const one of series)
      values.set([name, ...Object.values(one.labels)].join(' '), 'value' in one ? one.value : one.counts.reduce((a, b) => a + b));
  }
  expect(Object.fromEntries([...values].filter(([, value]) => value !== 0))).toEqual({
    'perkey_store_append_duration_seconds events': 2,
    'perkey_store_appended_bytes_total events': expect.any(Number) as unknown,
    'perkey_store_appends_total events appended': 1,
    'perkey_store_appends_total events conflict': 1,
    'perkey_store_appends_total events fenced': 1,
    'perkey_store_appends_total events refused': 1,
    perkey_store_events_appended_total: 2,
    'perkey_store_load_duration_seconds events': 2,
    'perkey_store_load_failures_total events': 1,
    'perkey_store_loads_total events': 2,
    'perkey_store_records_read_total events': 1,
  });
});
