import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../base/clock.ts';
import { PerkeyError } from '../base/errors.ts';
import { MetricsRegistry } from '../base/metrics-registry.ts';
import { seededRandom } from '../base/random.ts';
import type { LogBatch, LogRead, StreamName } from '../contract/commit-log.ts';
import type { OpenStore, Snapshot } from '../contract/store.ts';
import { memoryStore } from '../memory/memory-store.ts';
import { storeEnvironment } from '../testkit/contract-suites/store-world.ts';
import { FaultyStore } from '../testkit/faulty-store.ts';
import { noHead } from './commit.ts';
import type { CommitDraft, StreamHead } from './commit.ts';
import { EventCatalogue } from './event-catalogue.ts';
import { EventStore } from './event-store.ts';
import { applyCommit, rehydrate } from './rehydrate.ts';
import type { Fold, Rehydrated } from './rehydrate.ts';
import { Snapshots } from './snapshots.ts';
import { writeSnapshot } from './snapshot-body.ts';

const alice: StreamName = { type: 'Account', key: 'alice' };
const author = { epoch: 1, owner: 'n1/a' };
const limits = { repliesMax: 3, replyAgeMs: 1_000_000 };

interface Tally {
  readonly sum: number;
  readonly seen: readonly number[];
}

const fold: Fold<Tally> = {
  catalogue: new EventCatalogue('Account', [{ name: 'Added', version: 1, upcasters: [] }]),
  stateVersion: 3,
  initial: () => ({ sum: 0, seen: [] }),
  apply: (state, { data, version }) => ({ sum: state.sum + (data as number), seen: [...state.seen, version] }),
};

class World {
  readonly metrics = new MetricsRegistry();
  readonly warnings: unknown[] = [];
  readonly store = new FaultyStore(memoryStore(), { clock: systemClock });
  open!: OpenStore;
  events!: EventStore;
  snapshots!: Snapshots;
  head: StreamHead = noHead;

  static async open(kept: number = 3): Promise<World> {
    const world = new World();
    const log = { debug: () => {}, info: () => {}, error: () => {}, warn: (fields: object) => void world.warnings.push(fields) };
    world.open = await world.store.open(storeEnvironment());
    const { metrics, open } = world;
    world.events = new EventStore({ log: open.events, clock: systemClock, random: seededRandom(1), metrics, shards: 64 });
    world.snapshots = new Snapshots({ store: open.snapshots, clock: systemClock, log, metrics, kept });
    return world;
  }

  async add(data: readonly number[], notes: Partial<CommitDraft> = {}): Promise<void> {
    const events = data.map((one) => ({ name: 'Added', schema: 1, data: one }));
    const result = await this.events.append(alice, this.head, author, { id: this.events.newCommitId(), at: 0, events, ...notes });
    expect(result.kind).toBe('appended');
    if (result.kind === 'appended') this.head = result.head;
  }

  load(withSnapshots = true, epoch = 1): Promise<Rehydrated<Tally>> {
    return rehydrate({ events: this.events, snapshots: withSnapshots ? this.snapshots : undefined, stream: alice, fold, limits, epoch });
  }

  /** What is asked of the store from now on, and when an answer of the snapshots is there. */
  asked(): string[] {
    const asked: string[] = [];
    const { events, snapshots } = this.open;
    const [read, load] = [events.read.bind(events), snapshots.load.bind(snapshots)];
    Object.assign(events, {
      read: (of: LogRead) => {
        asked.push(`read after ${of.after}`);
        return read(of);
      },
    });
    Object.assign(snapshots, {
      load: async (stream: StreamName, max?: number) => {
        asked.push('snapshots');
        const found = await load(stream, max);
        asked.push('found');
        return found;
      },
    });
    return asked;
  }

  async save(changes: { stateVersion?: number } = {}): Promise<void> {
    const { state, bookkeeping, head } = await this.load(false);
    this.snapshots.save(alice, { head, stateVersion: fold.stateVersion, state, bookkeeping: bookkeeping.pack(0), ...changes });
    await this.snapshots.settled();
  }

  counted(name: string): Record<string, number> {
    const family = this.metrics.snapshot().find((one) => one.name === name);
    const counts = (family?.series ?? []).map((one) => [Object.values(one.labels).join(' '), 'value' in one ? one.value : 0] as const);
    return Object.fromEntries(counts.filter(([, value]) => value > 0));
  }
}

function plainOf({ state, bookkeeping, head }: Rehydrated<Tally>): unknown {
  return { state, head, bookkeeping: bookkeeping.pack(0) };
}

const noted = fc.record({
  data: fc.array(fc.integer(), { maxLength: 4 }),
  key: fc.option(fc.constantFrom('a', 'b', 'c', 'd', 'e'), { nil: undefined }),
  outbox: fc.option(fc.array(fc.string(), { minLength: 1, maxLength: 3 }), { nil: undefined }),
  delivered: fc.option(fc.nat(10), { nil: undefined }),
  reminder: fc.option(fc.tuple(fc.constantFrom('x', 'y', 'z'), fc.option(fc.nat(), { nil: undefined })), { nil: undefined }),
});

describe('a snapshot and what lies behind it', () => {
  test('come to the same as everything from the beginning', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(noted, { minLength: 1, maxLength: 25 }), fc.array(fc.nat(24), { maxLength: 4 }), async (commits, saves) => {
        const world = await World.open();
        for (const [i, { data, key, outbox, delivered, reminder }] of commits.entries()) {
          const reply = key === undefined ? undefined : { idempotencyKey: key, method: 'm', caller: '', outcome: i };
          const reminders = reminder === undefined ? undefined : [{ name: reminder[0], reminder: reminder[1] }];
          await world.add(data, { reply, outbox, delivered, reminders });
          if (saves.includes(i)) await world.save();
        }
        const [short, whole] = [await world.load(), await world.load(false)];
        expect(plainOf(short)).toEqual(plainOf(whole));
        expect(whole.head).toEqual(world.head);
        const last = Math.max(...saves.filter((at) => at < commits.length));
        const versionThen = commits.slice(0, last + 1).reduce((sum, { data }) => sum + data.length, 0);
        expect(short.snapshotVersion).toBe(Number.isFinite(last) ? versionThen : 0);
        expect(world.warnings).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });

  test('are read side by side where this owner saved or used the snapshot before', async () => {
    const world = await World.open();
    await world.add([1]);
    await world.save();
    await world.add([2]);
    const asked = world.asked();
    const { sequence } = world.head;
    const whole = await world.load(false);
    asked.length = 0;
    expect(plainOf(await world.load())).toEqual(plainOf(whole));
    expect(asked).toEqual([`read after ${sequence - 2}`, 'snapshots', 'found']);
    asked.length = 0;
    expect(plainOf(await world.load(true, 2))).toEqual(plainOf(whole));
    expect(asked).toEqual(['snapshots', 'found', `read after ${sequence - 2}`]);
    asked.length = 0;
    expect(plainOf(await world.load(true, 2))).toEqual(plainOf(whole));
    expect(asked).toEqual([`read after ${sequence - 2}`, 'snapshots', 'found']);
  });

  test('are read one after the other where the snapshot turns out to be another one', async () => {
    const world = await World.open();
    await world.add([1]);
    await world.save();
    await world.add([2]);
    const { state, bookkeeping, head } = await world.load(false);
    const newer = writeSnapshot(alice, { head, stateVersion: fold.stateVersion, state, bookkeeping: bookkeeping.pack(0) });
    await world.open.snapshots.save(alice, { sequence: head.sequence, body: newer }, 3);
    await world.add([3]);
    const asked = world.asked();
    expect(await world.load()).toMatchObject({ state: { sum: 6, seen: [1, 2, 3] }, snapshotVersion: 2, head: world.head });
    expect(asked).toEqual([`read after ${head.sequence - 2}`, 'snapshots', 'found', `read after ${head.sequence - 1}`]);
    await world.open.snapshots.forget(alice);
    expect(await world.load()).toMatchObject({ state: { sum: 6, seen: [1, 2, 3] }, snapshotVersion: 0, head: world.head });
    expect(world.warnings).toEqual([]);
  });

  test('a read that was begun and failed fails the load that needs it, and no other', async () => {
    const world = await World.open();
    await world.add([1]);
    await world.save();
    await world.add([2]);
    const { events } = world.open;
    const read = events.read.bind(events);
    let failing = 1;
    const failingOnce = async function* (of: LogRead): AsyncGenerator<LogBatch> {
      if (failing-- > 0) throw new PerkeyError('store.unavailable', 'as asked for');
      yield* read(of);
    };
    Object.assign(events, { read: failingOnce });
    await expect(world.load()).rejects.toMatchObject({ code: 'store.unavailable' });
    failing = 1;
    await world.open.snapshots.forget(alice);
    expect(await world.load()).toMatchObject({ state: { sum: 3 }, snapshotVersion: 0 });
  });

  test('that is corrupt, of another version or of another stream is skipped with a warning, and an older one is used', async () => {
    const world = await World.open(4);
    await world.add([1]);
    await world.save();
    await world.add([2]);
    await world.save();
    await world.add([3]);
    await world.save();
    await world.add([4]);
    await world.save({ stateVersion: 4 });
    const [newest, third] = await world.open.snapshots.load(alice);
    const spoilt: Snapshot = {
      sequence: third?.sequence ?? 0,
      body: (third?.body ?? new Uint8Array()).map((byte, i) => (i === 50 ? byte ^ 1 : byte)),
    };
    await world.open.snapshots.save(alice, spoilt, 4);
    const ofBob = { head: { ...world.head, sequence: 2 }, stateVersion: 3, state: { sum: 99 }, bookkeeping: [[], 0, [], []] };
    await world.open.snapshots.save(alice, { sequence: 2, body: writeSnapshot({ type: 'Account', key: 'bob' }, ofBob) }, 4);
    expect(newest?.sequence).toBe(world.head.sequence);
    const loaded = await world.load();
    expect(loaded).toMatchObject({ snapshotVersion: 1, state: { sum: 10, seen: [1, 2, 3, 4] } });
    expect(world.counted('perkey_snapshot_skips_total')).toEqual({ corrupt: 2, other_version: 1 });
    expect(world.counted('perkey_snapshot_uses_total')).toEqual({ '': 1 });
    expect(world.warnings).toHaveLength(3);
  });

  test('whose record is not in the log is skipped, as after the log was set back to a copy', async () => {
    const world = await World.open();
    await world.add([1]);
    await world.add([2]);
    const head = { ...world.head, hash: '0'.repeat(32) };
    world.snapshots.save(alice, { head, stateVersion: 3, state: { sum: 77, seen: [] }, bookkeeping: [[], 0, [], []] });
    await world.snapshots.settled();
    world.snapshots.save(alice, {
      head: { ...head, sequence: 99 },
      stateVersion: 3,
      state: { sum: 78, seen: [] },
      bookkeeping: [[], 0, [], []],
    });
    await world.snapshots.settled();
    expect(await world.load()).toMatchObject({ state: { sum: 3 }, snapshotVersion: 0 });
    expect(world.counted('perkey_snapshot_skips_total')).toEqual({ not_in_log: 2 });
  });

  test('whose bookkeeping has another form is skipped', async () => {
    const world = await World.open();
    await world.add([1]);
    world.snapshots.save(alice, { head: world.head, stateVersion: 3, state: { sum: 77 }, bookkeeping: ['x'] });
    await world.snapshots.settled();
    expect(await world.load()).toMatchObject({ state: { sum: 1 }, snapshotVersion: 0 });
  });
});

describe('saving', () => {
  test('never fails or delays a command', async () => {
    const world = await World.open();
    await world.add([1]);
    world.store.of('n1').full();
    world.snapshots.save(alice, { head: world.head, stateVersion: 3, state: {}, bookkeeping: null });
    await world.snapshots.settled();
    world.store.healAll();
    world.snapshots.save(alice, { head: world.head, stateVersion: 3, state: { of: () => 1 }, bookkeeping: null });
    await world.snapshots.settled();
    expect(world.counted('perkey_snapshot_saves_total')).toEqual({ failed: 2 });
    expect(world.warnings).toHaveLength(2);
    await world.add([2]);
    expect(await world.load()).toMatchObject({ state: { sum: 3 }, snapshotVersion: 0 });
    world.store.of('n1').unavailable();
    expect(await collected(world.snapshots.load(alice, 3))).toEqual([]);
    expect(world.counted('perkey_snapshot_skips_total')).toEqual({ unavailable: 1 });
  });

  test('leaves out what it cannot keep up with, never the newest of a stream', async () => {
    const world = await World.open();
    const contentOf = (version: number) => ({
      head: { ...noHead, sequence: version, version, hash: 'h' },
      stateVersion: 3,
      state: version,
      bookkeeping: null,
    });
    for (let i = 1; i <= 50; i += 1) world.snapshots.save(alice, contentOf(i));
    for (let i = 1; i <= 1_500; i += 1) world.snapshots.save({ type: 'Account', key: `k${i}` }, contentOf(1));
    await world.snapshots.settled();
    expect((await collected(world.snapshots.load(alice, 3)))[0]).toMatchObject({ state: 50 });
    const { saved = 0, left_out: leftOut = 0 } = world.counted('perkey_snapshot_saves_total');
    expect(saved + leftOut).toBe(1_550);
    expect(saved).toBe(1_000);
  });

  test('is due when a stretch of events is complete, however many come at once', () => {
    const due = (before: number, after: number): boolean => Snapshots.isDue(before, after, 10);
    expect([due(0, 9), due(9, 10), due(10, 11), due(5, 31), due(10, 10), Snapshots.isDue(0, 5, 0)]).toEqual([
      false,
      true,
      false,
      true,
      false,
      false,
    ]);
  });
});

describe('schema evolution', () => {
  const catalogue = new EventCatalogue('Account', [
    {
      name: 'Added',
      version: 3,
      upcasters: [(data) => ({ cents: (data as number) * 100 }), (data) => ({ ...(data as object), currency: 'EUR' })],
    },
    {
      name: 'Throws',
      version: 2,
      upcasters: [
        () => {
          throw new Error('no way');
        },
      ],
    },
  ]);

  async function stored(name: string, schema: number, data: unknown): Promise<() => unknown> {
    const world = await World.open();
    await world.add([], { events: [{ name, schema, data }], id: 'commit' });
    let state: unknown;
    await world.events.load(alice, (commit) => {
      state = () =>
        applyCommit({ catalogue, stateVersion: 1, initial: () => [], apply: (all: unknown[], event) => [...all, event] }, [], commit);
    });
    return state as () => unknown;
  }

  test('data of each version is led to the present one, the rest stays as it was stored', async () => {
    for (const [schema, data] of [
      [1, 5],
      [2, { cents: 500 }],
      [3, { cents: 500, currency: 'EUR' }],
    ] as const) {
      const [event] = (await stored('Added', schema, data))() as { id: string; metadata: object; toJSON(): object }[];
      expect(event?.toJSON()).toMatchObject({
        id: 'commit-0',
        schema: 3,
        data: { cents: 500, currency: 'EUR' },
        version: 1,
        key: 'alice',
        metadata: {},
      });
    }
  });

  test.each([
    ['Removed', 1, 'knows no event of this name'],
    ['Added', 4, 'knows versions 1 to 3'],
    ['Added', 0, 'knows versions 1 to 3'],
    ['Throws', 1, 'the step from version 1 to 2 threw: no way'],
    ['__proto__', 1, 'knows no event of this name'],
    ['toString', 1, 'knows no event of this name'],
  ])('an event %s of version %i is refused by name', async (name, schema, why) => {
    const load = await stored(name, schema, 1);
    expect(load).toThrow(
      expect.objectContaining({
        code: 'event.unknown',
        executed: 'no',
        details: { type: 'Account', event: name, schema, position: 1_024 },
      }) as Error,
    );
    expect(load).toThrow(why);
    expect(load).toThrow(name);
  });

  test('a load refuses a history that holds one', async () => {
    const world = await World.open();
    await world.add([1]);
    await world.add([], { events: [{ name: 'Removed', schema: 1, data: 1 }] });
    await expect(world.load()).rejects.toMatchObject({
      code: 'event.unknown',
      message: expect.stringContaining('"Removed" in version 1') as unknown,
    });
  });
});

async function collected<T>(from: AsyncIterable<T>): Promise<readonly T[]> {
  const all: T[] = [];
  for await (const one of from) all.push(one);
  return all;
}
