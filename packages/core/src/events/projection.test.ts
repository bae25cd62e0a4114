import { beforeEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../base/log.ts';
import { MetricsRegistry } from '../base/metrics-registry.ts';
import { systemRandom } from '../base/random.ts';
import type { ReadModel } from '../contract/read-model.ts';
import type { OpenStore } from '../contract/store.ts';
import { memoryStore } from '../memory/memory-store.ts';
import { VirtualClock } from '../testkit/virtual-clock.ts';
import { DeadLetters } from './dead-letters.ts';
import type { EventBatch, EventRead } from './event-reads.ts';
import type { EventSource } from './event-source.ts';
import { GenerationRecords } from './generations.ts';
import { defineProjection, type ProjectionDefinition } from './projection.ts';
import { ProjectionGroup } from './projection-group.ts';
import { positionOf, type StoredEvent } from './stored-event.ts';

/** A source of one event per record, in memory. */
class ToldSource implements EventSource {
  readonly events: StoredEvent[] = [];
  readonly readsFrom: number[] = [];
  #wake = Promise.withResolvers<void>();

  append(...names: readonly string[]): void {
    for (const event of names) {
      const version = this.events.length + 1;
      const position = positionOf(version, 0);
      this.events.push({
        ...{ id: `e${version}`, position, version, type: 't', key: 'k', event, schema: 1 },
        at: 0,
        data: version,
        metadata: {},
      });
    }
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  async *subscribe({ after = 0, events: names, batchMax, signal }: EventRead): AsyncIterable<EventBatch> {
    this.readsFrom.push(after);
    for (let from = after; !isAborted(signal);) {
      const events = this.events.filter(({ position }) => position > from).slice(0, batchMax);
      from = events.at(-1)?.position ?? from;
      yield {
        events: events.filter(({ event }) => names?.includes(event) ?? true),
        through: from,
        live: from >= (this.events.at(-1)?.position ?? 0),
      };
      if (this.events.length > 0 && from < (this.events.at(-1)?.position ?? 0)) continue;
      const aborted = new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve(), { once: true }));
      await Promise.race([this.#wake.promise, aborted]);
    }
  }

  end(): Promise<number> {
    return Promise.resolve(this.events.at(-1)?.position ?? 0);
  }
}

const isAborted = (signal: AbortSignal | undefined): boolean => signal?.aborted === true;

/** A read model in memory: rows by generation, with their checkpoint, as a database has them. */
class Table implements ReadModel<string[]> {
  readonly rows = new Map<string, string[]>();
  readonly checkpoints = new Map<string, number>();

  checkpoint(name: string): Promise<number> {
    return Promise.resolve(this.checkpoints.get(name) ?? 0);
  }

  async advance(name: string, from: number, to: number, work: (tx: string[]) => void): Promise<boolean> {
    if ((this.checkpoints.get(name) ?? 0) !== from) return false;
    const rows = [...(this.rows.get(name) ?? [])];
    work(rows);
    this.rows.set(name, rows);
    this.checkpoints.set(name, to);
    return true;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

let clock: VirtualClock;
let store: OpenStore;
let source: ToldSource;
let metrics: MetricsRegistry;
let mayAct = true;

beforeEach(async () => {
  clock = new VirtualClock();
  source = new ToldSource();
  metrics = new MetricsRegistry();
  mayAct = true;
  const environment = {
    cluster: 'c',
    nodeId: 'n',
    shards: 8,
    clock,
    random: systemRandom,
    log: silentLogger,
    metrics,
    connectTimeoutMs: 1_000,
  };
  store = await memoryStore().open(environment);
});

function start<Tx = undefined>(definitions: ProjectionDefinition<Tx> | readonly ProjectionDefinition<Tx>[], epoch = 1): ProjectionGroup {
  const projections = [definitions].flat().map((definition) => defineProjection(definition));
  return new ProjectionGroup({
    onFenced: () => {},
    projections,
    epoch,
    store,
    source,
    catalogues: new Map(),
    guard: { mayAct: () => mayAct },
    clock,
    log: silentLogger,
    metrics,
  });
}

const total = (name: string): number => {
  const family = metrics.snapshot().find((one) => one.name === name);
  return (family?.series ?? []).reduce((sum, one) => sum + ('value' in one ? one.value : 0), 0);
};

test('events come in order, what follows comes too, and a new run goes on exactly behind the checkpoint', async () => {
  const seen: number[] = [];
  const projection = { name: 'p', handle: ({ data }: StoredEvent) => void seen.push(data as number) };
  source.append('a', 'b', 'c');
  const first = start(projection);
  await clock.advance(100);
  source.append('d');
  await clock.advance(100);
  expect(seen).toEqual([1, 2, 3, 4]);
  expect(first.status()).toMatchObject([{ generation: 1, isLive: true, state: 'live', position: positionOf(4, 0) }]);
  await clock.run(first.stop());
  source.append('e');
  const second = start(projection, 2);
  await clock.advance(100);
  expect(seen).toEqual([1, 2, 3, 4, 5]);
  expect(source.readsFrom.at(-1)).toBe(positionOf(4, 0));
  await clock.run(second.stop());
});

test('only the named events are handled, and what was there before the first run is not live', async () => {
  const seen: unknown[] = [];
  source.append('a', 'b');
  const group = start({ name: 'p', events: ['b'], handle: ({ data }, { live }) => void seen.push([data, live]) });
  await clock.advance(100);
  source.append('a', 'b');
  await clock.advance(100);
  expect(seen).toEqual([
    [2, false],
    [4, true],
  ]);
  await clock.run(group.stop());
});

test('what came while no node ran is live when it is handled: it was never handled before', async () => {
  const seen: unknown[] = [];
  const projection: ProjectionDefinition = { name: 'p', handle: ({ data }, { live }) => void seen.push([data, live]) };
  const first = start(projection);
  await clock.advance(100);
  await clock.run(first.stop());
  source.append('a');
  const second = start(projection, 2);
  await clock.advance(100);
  expect(seen).toEqual([[1, true]]);
  await clock.run(second.stop());
});

describe('an event whose handler throws', () => {
  const poison =
    (seen: unknown[], times = Infinity): ProjectionDefinition['handle'] =>
    ({ data }) => {
      seen.push(data);
      if (data === 2 && seen.filter((one) => one === 2).length <= times) throw new Error('no');
    };

  test('stops the projection, which begins there again', async () => {
    const seen: unknown[] = [];
    source.append('a', 'b', 'c');
    const group = start({ name: 'p', handle: poison(seen), onError: 'stop' });
    await clock.advance(100);
    expect(seen).toEqual([1, 2]);
    expect(group.status()).toMatchObject([{ state: 'failed', error: 'no', position: positionOf(1, 0) }]);
    expect(total('perkey_projection_running')).toBe(0);
    await clock.run(group.stop());
    const again = start({ name: 'p', handle: poison(seen, 0), onError: 'stop' }, 2);
    await clock.advance(100);
    expect(seen).toEqual([1, 2, 2, 3]);
    await clock.run(again.stop());
  });

  test('is passed over', async () => {
    const seen: unknown[] = [];
    source.append('a', 'b', 'c');
    const group = start({ name: 'p', handle: poison(seen), onError: 'skip' });
    await clock.advance(100);
    expect(seen).toEqual([1, 2, 3]);
    expect(total('perkey_projection_skipped_total')).toBe(1);
    await clock.run(group.stop());
  });

  test('is tried again, further and further apart', async () => {
    const seen: unknown[] = [];
    source.append('a', 'b', 'c');
    const onError = { attemptsMax: 4, delayMs: 100, delayMaxMs: 300, afterwards: 'stop' } as const;
    const group = start({ name: 'p', handle: poison(seen, 3), onError });
    await clock.advance(90);
    expect(seen).toEqual([1, 2]);
    await clock.advance(20);
    expect(seen).toEqual([1, 2, 2]);
    await clock.advance(170);
    expect(seen).toEqual([1, 2, 2]);
    await clock.advance(300);
    expect(seen).toEqual([1, 2, 2, 2]);
    // The third pause would be 400 ms.
    await clock.advance(40);
    expect(seen).toEqual([1, 2, 2, 2, 2, 3]);
    await clock.run(group.stop());
  });

  test('becomes a dead letter after the last attempt', async () => {
    const seen: unknown[] = [];
    source.append('a', 'b', 'c');
    const onError = { attemptsMax: 2, delayMs: 10, delayMaxMs: 10, afterwards: 'dead-letter' } as const;
    const group = start({ name: 'p', handle: poison(seen), onError });
    await clock.advance(1_000);
    expect(seen).toEqual([1, 2, 2, 3]);
    const letters = new DeadLetters(store.records);
    expect(await clock.run(letters.list('p'))).toMatchObject([{ id: 'e2', position: positionOf(2, 0), event: 'b', error: 'no' }]);
    await clock.run(letters.remove('p', positionOf(2, 0)));
    expect(await clock.run(letters.list('p'))).toEqual([]);
    await clock.run(group.stop());
  });
});

test('a former owner that begins only when the next one has saved handles nothing and leaves the checkpoint alone', async () => {
  const seen: unknown[] = [];
  source.append('a', 'b');
  const later = start({ name: 'p', handle: ({ data }) => void seen.push(['later', data]) }, 2);
  await clock.advance(1_000);
  const former = start({ name: 'p', handle: ({ data }) => void seen.push(['former', data]) }, 1);
  source.append('c');
  await clock.advance(1_000);
  expect(former.status()).toMatchObject([{ state: 'fenced' }]);
  expect(later.status()).toMatchObject([{ state: 'live', position: positionOf(3, 0) }]);
  source.append('d');
  await clock.advance(1_000);
  expect(seen).toEqual([1, 2, 3, 4].map((data) => ['later', data]));
  await clock.run(Promise.all([former.stop(), later.stop()]));
});

test('a former owner that still runs cannot move the checkpoint once the next one has saved, and stops', async () => {
  const seen: (readonly [string, unknown])[] = [];
  source.append('a');
  const first = start({ name: 'p', handle: ({ data }) => void seen.push(['first', data]) }, 1);
  await clock.advance(100);
  const second = start({ name: 'p', handle: ({ data }) => void seen.push(['second', data]) }, 2);
  source.append('b');
  await clock.advance(1_000);
  source.append('c');
  await clock.advance(1_000);
  expect(first.status()).toMatchObject([{ state: 'fenced' }]);
  expect(second.status()).toMatchObject([{ state: 'live', position: positionOf(3, 0) }]);
  expect(seen.filter(([who, data]) => who === 'second' && data === 3)).toHaveLength(1);
  await clock.run(Promise.all([first.stop(), second.stop()]));
});

test('nothing is handled and nothing saved while the lease does not hold', async () => {
  const seen: unknown[] = [];
  const group = start({ name: 'p', handle: ({ data }) => void seen.push(data) });
  await clock.advance(100);
  mayAct = false;
  source.append('a');
  await clock.advance(10_000);
  expect(seen).toEqual([]);
  mayAct = true;
  await clock.advance(100);
  expect(seen).toEqual([1]);
  await clock.run(group.stop());
});

describe('with a read model', () => {
  const into = (table: Table, extra: Partial<ProjectionDefinition<string[]>> = {}): ProjectionDefinition<string[]> => ({
    name: 'p',
    batchMax: 2,
    readModel: table,
    handle: ({ data }, { tx, generation }) => void tx.push(`${generation}:${String(data)}`),
    ...extra,
  });

  test('rows and checkpoint are written together', async () => {
    const table = new Table();
    source.append('a', 'b', 'c');
    const group = start(into(table));
    await clock.advance(100);
    expect(table.rows.get('p.1')).toEqual(['1:1', '1:2', '1:3']);
    expect(table.checkpoints.get('p.1')).toBe(positionOf(3, 0));
    await clock.run(group.stop());
  });

  test('an event that is given up leaves nothing of itself, and nothing of others is lost or doubled', async () => {
    const table = new Table();
    source.append('a', 'b', 'c', 'd', 'e');
    const handle: ProjectionDefinition<string[]>['handle'] = ({ data }, { tx }) => {
      tx.push(`1:${String(data)}`);
      if (data === 2 || data === 3) throw new Error('no');
    };
    const group = start(into(table, { handle, onError: 'skip', batchMax: 4 }));
    await clock.advance(1_000);
    expect(table.rows.get('p.1')).toEqual(['1:1', '1:4', '1:5']);
    await clock.run(group.stop());
  });

  test('of two owners each event counts once', async () => {
    const table = new Table();
    const first = start(into(table), 1);
    await clock.advance(100);
    source.append('a');
    const second = start(into(table), 2);
    await clock.advance(1_000);
    source.append('b', 'c');
    await clock.advance(2_000);
    expect(table.rows.get('p.1')).toEqual(['1:1', '1:2', '1:3']);
    await clock.run(Promise.all([first.stop(), second.stop()]));
  });

  test('a handler that is not synchronous is refused: the transaction would be over before it', async () => {
    const table = new Table();
    source.append('a');
    const group = start(into(table, { handle: async () => {}, onError: 'stop' }));
    await clock.advance(100);
    expect(group.status()).toMatchObject([{ state: 'failed' }]);
    await clock.run(group.stop());
  });
});

describe('a build beside the live one', () => {
  const rows = new Map<number, unknown[]>();
  const versioned = (version: number): ProjectionDefinition => ({
    name: 'p',
    version,
    handle: ({ data }, { generation }) => {
      const own = rows.get(generation) ?? [];
      rows.set(generation, own);
      own.push(data);
    },
  });
  beforeEach(() => rows.clear());

  test('is begun by a new version, goes on beside the old one, and is switched on when it has caught up', async () => {
    source.append('a', 'b');
    const first = start(versioned(1));
    await clock.advance(100);
    await clock.run(first.stop());
    const switched: number[] = [];
    const second = start([versioned(1), { ...versioned(2), onSwitch: (generation) => void switched.push(generation) }], 2);
    await clock.advance(5_000);
    source.append('c');
    await clock.advance(5_000);
    expect(rows.get(2)).toEqual([1, 2, 3]);
    expect(switched).toEqual([2]);
    expect(second.status()).toMatchObject([{ generation: 2, version: 2, isLive: true, state: 'live' }]);
    expect(await clock.run(store.records.read('checkpoint.p.1'))).toBeUndefined();
    await clock.run(second.stop());
  });

  test('tells of its switch again and again until the definition has taken it', async () => {
    source.append('a');
    const tries: number[] = [];
    const onSwitch = (generation: number): void => {
      if (tries.push(generation) < 3) throw new Error('the database is away');
    };
    const group = start({ ...versioned(1), onSwitch });
    await clock.advance(10_000);
    expect(tries).toEqual([1, 1, 1]);
    await clock.run(group.stop());
  });

  test('is begun on demand; an older definition does not undo a newer one', async () => {
    source.append('a');
    const group = start(versioned(3));
    await clock.advance(100);
    await clock.run(new GenerationRecords(store.records).rebuild('p', await source.end()));
    await clock.advance(5_000);
    expect(group.status()).toMatchObject([{ generation: 2, version: 3, isLive: true }]);
    expect(rows.get(2)).toEqual([1]);
    await clock.run(group.stop());
    const older = start(versioned(2), 2);
    await clock.advance(5_000);
    expect(older.status()).toEqual([]);
    expect((await clock.run(new GenerationRecords(store.records).read('p'))).live).toMatchObject({ number: 2, version: 3 });
    await clock.run(older.stop());
  });
});
