import { connect } from '@nats-io/transport-node';
import { jetstreamManager } from '@nats-io/jetstream';
import type { AppendOutcome, CommitLog, LogBatch, OpenStore, StoreEnvironment } from '@perkey/core';
import { storeEnvironment } from '@perkey/core/testing';
import { jetstream } from '@perkey/nats';
import { startNatsServer, type NatsServer } from '@perkey/nats/dev';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bytesOf, LogKeeper } from './nats-fixture.ts';
import { HoldProxy } from './support/hold-proxy.ts';
import { testServers } from './support/newest-server.ts';

type Options = Parameters<typeof jetstream>[0];

/** Opens stores and closes them at the end of the test. */
class Stores implements AsyncDisposable {
  readonly #open: OpenStore[] = [];

  async open(cluster: string, options: Options, changes: Partial<StoreEnvironment> = {}): Promise<OpenStore> {
    const store = await jetstream(options).open(storeEnvironment({ cluster, ...changes }));
    this.#open.push(store);
    return store;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#open.map((store) => store.close()));
  }
}

const account = (key: string): { type: string; key: string } => ({ type: 'Account', key });

function append(log: CommitLog, key: string, expectedSequence: number, body: string | Uint8Array): Promise<AppendOutcome> {
  const written = typeof body === 'string' ? bytesOf(body) : body;
  return log.append({ stream: account(key), shard: 0, expectedSequence, epoch: 1, body: written });
}

async function appended(log: CommitLog, key: string, expected: number, body: string): Promise<number> {
  const outcome = await append(log, key, expected, body);
  if (outcome.kind !== 'appended') throw new Error(`the append was ${JSON.stringify(outcome)}`);
  return outcome.sequence;
}

interface Found {
  readonly sequence: number;
  readonly text: string;
}

async function readStream(log: CommitLog, key?: string): Promise<readonly Found[]> {
  const found: Found[] = [];
  for await (const { records } of log.read({ after: 0, batchMax: 1_000, stream: key === undefined ? undefined : account(key) }))
    found.push(...records.map(({ sequence, body }) => ({ sequence, text: Buffer.from(body).toString() })));
  return found;
}

/** Tries until the store answers again. */
async function again<T>(run: () => Promise<T>, limitMs = 20_000): Promise<T> {
  for (const giveUpAt = performance.now() + limitMs; ; await delay(20)) {
    try {
      return await run();
    } catch (error) {
      if (performance.now() > giveUpAt) throw error;
    }
  }
}

/**
 * Appends to one stream until it is told to stop, and settles what is unknown the way a repository does: reload, look for one's own record,
 * and if it is not there, append a fence with the same expectation.
 */
class Writer {
  readonly acknowledged: Found[] = [];
  readonly certainlyNot: string[] = [];
  readonly counts = { unknown: 0, refused: 0, conflict: 0 };
  readonly #log: CommitLog;
  readonly #key: string;
  #head = 0;
  #number = 0;

  constructor(log: CommitLog, key: string) {
    this.#log = log;
    this.#key = key;
  }

  get key(): string {
    return this.#key;
  }

  async run(until: AbortSignal): Promise<void> {
    while (!until.aborted) {
      const text = `${this.#key} ${(this.#number += 1)}`;
      const outcome = await append(this.#log, this.#key, this.#head, text);
      if (outcome.kind === 'appended') this.#take({ sequence: outcome.sequence, text });
      else if (outcome.kind === 'refused') await this.#refused(text);
      else await this.#settle(text, outcome.kind);
    }
  }

  #take(found: Found): void {
    this.acknowledged.push(found);
    this.#head = found.sequence;
  }

  async #refused(text: string): Promise<void> {
    this.counts.refused += 1;
    this.certainlyNot.push(text);
    await delay(5);
  }

  async #settle(text: string, kind: 'unknown' | 'conflict'): Promise<void> {
    this.counts[kind] += 1;
    // A fence may itself be unknown, and be there beside the next one.
    for (let attempt = 1; ; attempt += 1) {
      const found = await again(() => readStream(this.#log, this.#key));
      const mine = found.find((record) => record.text === text);
      if (mine !== undefined) return this.#take(mine);
      this.#head = found.at(-1)?.sequence ?? 0;
      const fence = await append(this.#log, this.#key, this.#head, `fence ${attempt} for ${text}`);
      if (fence.kind === 'appended') {
        this.#head = fence.sequence;
        this.certainlyNot.push(text);
        return;
      }
      await delay(10);
    }
  }
}

/** Everything that was acknowledged is there once, in its place, and nothing that was refused is. */
async function checkWriters(log: CommitLog, writers: readonly Writer[]): Promise<void> {
  for (const writer of writers) {
    const found = await readStream(log, writer.key);
    const places = new Map(found.map(({ text, sequence }) => [text, sequence]));
    expect(places.size).toBe(found.length);
    for (const { text, sequence } of writer.acknowledged) expect(places.get(text), text).toBe(sequence);
    for (const text of writer.certainlyNot) expect(places.has(text), text).toBe(false);
  }
}

describe.each(await testServers())('$name', ({ binary }) => {
  let shared: NatsServer;
  beforeAll(async () => {
    shared = await startNatsServer({ binary });
  });
  afterAll(() => shared.stop());

  test('a server killed in the midst of appends: nothing acknowledged is lost, and what is unknown is settled by a reload', async () => {
    await using server = await startNatsServer({ binary });
    await using stores = new Stores();
    const { events } = await stores.open('killed', { servers: server.url, storeTimeoutMs: 1_000 });
    const until = new AbortController();
    const writers = Array.from({ length: 32 }, (_, i) => new Writer(events, `k${i}`));
    const writing = writers.map((writer) => writer.run(until.signal));
    for (let round = 0; round < 3; round += 1) {
      await delay(250);
      await server.kill();
      await server.restart();
      await again(() => events.last());
    }
    await delay(250);
    until.abort();
    await Promise.all(writing);
    const count = (kind: keyof Writer['counts']): number => writers.reduce((sum, writer) => sum + writer.counts[kind], 0);
    expect(count('unknown')).toBeGreaterThan(0);
    expect(writers.reduce((sum, { acknowledged }) => sum + acknowledged.length, 0)).toBeGreaterThan(200);
    await checkWriters(events, writers);
  });

  test('bytes that were held back and come after a takeover are refused by compare-and-set', async () => {
    await using proxy = await HoldProxy.start(shared.url);
    await using stores = new Stores();
    const old = await stores.open('held', { servers: proxy.url, pingIntervalMs: 200, storeTimeoutMs: 30_000 });
    const next = await stores.open('held', { servers: shared.url });
    let head = await appended(old.events, 'alice', 0, 'one');
    proxy.hold('toServer');
    const late = append(old.events, 'alice', head, 'late');
    await proxy.whenHeld('toServer', 50);
    // The pings find no answer, so the connection is reset: what was in flight is unknown at once, long before its own timeout.
    expect(await late).toMatchObject({ kind: 'unknown' });
    head = await appended(next.events, 'alice', head, 'fence of the next owner');
    proxy.release('toServer');
    await again(() => old.events.last());
    await delay(100);
    expect((await readStream(next.events, 'alice')).map(({ text }) => text)).toEqual(['one', 'fence of the next owner']);
    expect(await append(old.events, 'alice', 1, 'later still')).toEqual({ kind: 'conflict' });
    await appended(next.events, 'alice', head, 'two');
  });

  test('a connection cut with appends in flight: they are unknown at once, and new ones are refused as not sent', async () => {
    await using proxy = await HoldProxy.start(shared.url);
    await using stores = new Stores();
    const { events } = await stores.open('cut', { servers: proxy.url, storeTimeoutMs: 30_000 });
    await appended(events, 'warm', 0, 'x');
    proxy.hold('toClient');
    const under = Array.from({ length: 50 }, (_, i) => append(events, `k${i}`, 0, `${i}`));
    await proxy.whenHeld('toClient', 50);
    proxy.refuse(true);
    proxy.cut();
    const since = performance.now();
    for (const outcome of await Promise.all(under)) expect(outcome.kind).toBe('unknown');
    expect(performance.now() - since).toBeLessThan(1_000);
    expect(await append(events, 'k0', 0, 'again')).toMatchObject({ kind: 'refused', reason: 'unavailable' });
    proxy.release();
    proxy.refuse(false);
    expect((await again(() => readStream(events))).length).toBeGreaterThan(1);
  });

  test('a log that is full refuses what does not fit, and takes it after room was made', async () => {
    await using stores = new Stores();
    const store = await stores.open('full', { servers: shared.url, streamBytesMax: 200_000 });
    const body = 'x'.repeat(10_000);
    const heads: number[] = [];
    let outcome: AppendOutcome;
    for (;;) {
      outcome = await append(store.events, 'a', heads.at(-1) ?? 0, body);
      if (outcome.kind !== 'appended') break;
      heads.push(outcome.sequence);
    }
    expect(outcome).toMatchObject({ kind: 'refused', reason: 'full' });
    expect(heads.length).toBeGreaterThan(10);
    const last = heads.at(-1) ?? 0;
    expect(await append(store.events, 'b', 0, body)).toMatchObject({ kind: 'refused', reason: 'full' });
    expect((await readStream(store.events)).map(({ sequence }) => sequence)).toEqual(heads);
    await store.states.append({ stream: account('a'), shard: 0, expectedSequence: 0, epoch: 1, body: bytesOf('another log has room') });
    await store.events.trim(account('a'), last);
    await appended(store.events, 'b', 0, body);
  });

  test('a log that is removed while the node runs: nothing is appended to what takes its place, and the log says what to do', async () => {
    await using stores = new Stores();
    const log = new LogKeeper();
    const { events } = await stores.open('removed', { servers: shared.url, storeTimeoutMs: 1_000 }, { log });
    const head = await appended(events, 'a', 0, 'one');
    const operator = await connect({ servers: shared.url, reconnect: false });
    const manager = await jetstreamManager(operator);
    await manager.streams.delete('perkey_removed_events');
    expect(await append(events, 'a', head, 'two')).toMatchObject({ kind: 'refused', reason: 'unavailable' });
    await expect(readStream(events, 'a')).rejects.toMatchObject({ code: 'store.unavailable' });
    await expect.poll(() => log.with('was removed while this node ran').length).toBe(1);
    const other = await stores.open('removed', { servers: shared.url });
    await appended(other.events, 'a', 0, 'from the beginning');
    await expect.poll(() => log.with('was removed and made anew').length).toBe(1);
    expect(await append(events, 'a', 1, 'after what is gone')).toMatchObject({ kind: 'refused', reason: 'unavailable' });
    expect((await readStream(other.events)).map(({ text }) => text)).toEqual(['from the beginning']);
    await operator.close();
  });

  test('a server that stands still: the memory for appends is bounded, the rest is refused as not sent', async () => {
    await using server = await startNatsServer({ binary });
    await using stores = new Stores();
    const limits = { storeTimeoutMs: 700, pingIntervalMs: 60_000, appendsInFlightMax: 1_000, appendsInFlightBytesMax: 4_000_000 };
    const { events } = await stores.open('stopped', { servers: server.url, ...limits });
    await server.freeze();
    const many = Array.from({ length: 5_000 }, (_, i) => append(events, `small ${i}`, 0, `${i}`));
    const kinds = (await Promise.all(many)).map((outcome) => (outcome.kind === 'refused' ? outcome.reason : outcome.kind));
    expect(kinds.filter((kind) => kind === 'unknown')).toHaveLength(1_000);
    expect(kinds.filter((kind) => kind === 'unavailable')).toHaveLength(4_000);
    const large = new Uint8Array(900_000);
    const outcomes = await Promise.all(Array.from({ length: 10 }, (_, i) => append(events, `large ${i}`, 0, large)));
    expect(outcomes.map(({ kind }) => kind)).toEqual([...Array<string>(4).fill('unknown'), ...Array<string>(6).fill('refused')]);
    server.thaw();
    // What got no answer may have been appended: that is what "unknown" means.
    await again(() => events.last());
    await again(() => appended(events, 'after', 0, 'it goes on'));
  });

  test('a read that follows goes on exactly after what it gave, over a cut, a kill and a slow reader', async () => {
    await using server = await startNatsServer({ binary });
    await using proxy = await HoldProxy.start(server.url);
    await using stores = new Stores();
    const { events } = await stores.open('follow', { servers: proxy.url, storeTimeoutMs: 1_000, readBytesMax: 65_536 });
    const writerStore = await stores.open('follow', { servers: server.url, storeTimeoutMs: 1_000 });
    const until = new AbortController();
    const given: number[] = [];
    const following = (async (): Promise<void> => {
      let slow = 0;
      for await (const { records } of events.read({ after: 0, batchMax: 64, follow: true, signal: until.signal })) {
        for (const { sequence } of records) given.push(sequence);
        if ((slow += 1) % 20 === 0) await delay(5);
      }
    })();
    const stop = new AbortController();
    const writers = Array.from({ length: 8 }, (_, i) => new Writer(writerStore.events, `k${i}`));
    const writing = writers.map((writer) => writer.run(stop.signal));
    await delay(300);
    proxy.cut();
    await delay(500);
    await server.kill();
    await server.restart();
    await delay(1_000);
    stop.abort();
    await Promise.all(writing);
    const all = (await readStream(writerStore.events)).map(({ sequence }) => sequence);
    await expect.poll(() => given.length, { timeout: 15_000 }).toBe(all.length);
    expect(given).toEqual(all);
    until.abort();
    await following;
  });

  test('a follower that does not read holds two requests at most', async () => {
    await using stores = new Stores();
    const { events } = await stores.open('slow', { servers: shared.url, readBytesMax: 65_536 });
    const reader = events.read({ after: 0, batchMax: 10, follow: true })[Symbol.asyncIterator]();
    const body = Buffer.alloc(10_000);
    const appends = Array.from({ length: 200 }, (_, i) =>
      events.append({ stream: account(`k${i}`), shard: 0, expectedSequence: 0, epoch: 1, body }),
    );
    await Promise.all(appends);
    const first = await reader.next();
    expect(first.done).toBe(false);
    await delay(300);
    await Promise.all(
      Array.from({ length: 2_000 }, (_, i) => events.append({ stream: account(`m${i}`), shard: 0, expectedSequence: 0, epoch: 1, body })),
    );
    await delay(300);
    // A request is raised to the largest message, which is a megabyte here: about 105 of these records.
    const operator = await connect({ servers: shared.url, reconnect: false });
    const [consumer] = await (await jetstreamManager(operator)).consumers.list('perkey_slow_events').next();
    expect(consumer?.delivered.consumer_seq).toBeGreaterThan(10);
    expect(consumer?.delivered.consumer_seq).toBeLessThan(220);
    await operator.close();
    let count = (first.value as LogBatch).records.length;
    while (count < 2_200) count += ((await reader.next()).value as LogBatch).records.length;
    expect(count).toBe(2_200);
    await reader.return?.();
  });

  test('streams with settings that would lose records are refused by name, value and what to do', async () => {
    const operator = await connect({ servers: shared.url, reconnect: false });
    const manager = await jetstreamManager(operator);
    const make = (cluster: string, config: object): Promise<unknown> =>
      manager.streams.add({ name: `perkey_${cluster}_events`, subjects: [`perkey.${cluster}.events.*.*`], ...config });
    await make('old', { discard: 'old' });
    await make('aged', { discard: 'new', max_age: 60e9 });
    await make('volatile', { discard: 'new', storage: 'memory' });
    const cases = [
      ['old', /perkey_old_events .* its discard is "old", and must be "new"/],
      ['aged', /its max_age is 60000000000, and must be 0/],
      ['volatile', /its storage is "memory", and must be "file"/],
    ] as const;
    await using stores = new Stores();
    for (const [cluster, text] of cases) {
      const opening = stores.open(cluster, { servers: shared.url });
      await expect(opening).rejects.toMatchObject({ code: 'transport.refused' });
      await expect(opening).rejects.toThrow(text);
    }
    await operator.close();
  });

  test('a record as large as the server takes is stored, and one that is larger never leaves', async () => {
    await using stores = new Stores();
    const { events } = await stores.open('large', { servers: shared.url });
    const body = new Uint8Array(events.bodyBytesMax).fill(7);
    const outcome = await append(events, 'a', 0, body);
    expect(outcome.kind).toBe('appended');
    const larger = new Uint8Array(events.bodyBytesMax + 1);
    expect(await append(events, 'b', 0, larger)).toMatchObject({ kind: 'refused', reason: 'too_large' });
    expect((await readStream(events, 'a'))[0]?.text.length).toBe(body.length);
    await appended(events, 'b', 0, 'the connection lives');
  });

  test('the key of an actor is part of no subject', async () => {
    await using stores = new Stores();
    const store = await stores.open('names', { servers: shared.url });
    const seen: string[] = [];
    const operator = await connect({ servers: shared.url, reconnect: false });
    operator.subscribe('perkey.names.>', { callback: (_error, message) => void seen.push(message.subject) });
    await operator.flush();
    for (const key of ['alice', 'x.*', '>', 'a b\r\n']) {
      await appended(store.events, key, 0, 'x');
      await store.snapshots.save(account(key), { sequence: 1, body: bytesOf('x') }, 1);
    }
    await operator.flush();
    expect(seen).toHaveLength(8);
    for (const subject of seen) expect(subject).toMatch(/^perkey\.names\.(events|snapshots)\.Account\.[A-Za-z0-9_-]{43}$/);
    await operator.close();
  });

  test('what acknowledged means is said for this server', async () => {
    await using stores = new Stores();
    const { durability } = await stores.open('lasting', { servers: shared.url });
    const old = shared.info.version.startsWith('2.9.');
    expect(durability).toMatchObject({ survivesKill: true, survivesPowerLoss: old ? false : 'unknown' });
    expect(durability.text).toContain('sync_interval: always');
  });
});
