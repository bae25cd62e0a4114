import { describe, expect, test } from 'vitest';
import { MetricsRegistry } from '../base/metrics-registry.ts';
import { seededRandom } from '../base/random.ts';
import type { StreamName } from '../contract/commit-log.ts';
import { memoryStore } from '../memory/memory-store.ts';
import { storeEnvironment } from '../testkit/contract-suites/store-world.ts';
import { FaultyStore } from '../testkit/faulty-store.ts';
import type { AppendFault, CommitFaults } from '../testkit/faults/commit-faults.ts';
import { VirtualClock } from '../testkit/virtual-clock.ts';
import { noHead } from './commit.ts';
import type { Commit, CommitDraft, StreamHead } from './commit.ts';
import { EventStore } from './event-store.ts';
import type { Settlement } from './settle.ts';
import { StateStore } from './state-store.ts';

const alice: StreamName = { type: 'Account', key: 'alice' };
const one = { epoch: 1, owner: 'n1/a' };
const two = { epoch: 2, owner: 'n2/b' };

class World {
  readonly clock = new VirtualClock();
  readonly metrics = new MetricsRegistry();
  readonly store = new FaultyStore(memoryStore(), { clock: this.clock });
  readonly faults: CommitFaults = this.store.of('n1');

  async #open(nodeId: string) {
    const { clock, metrics } = this;
    const open = await this.store.open(storeEnvironment({ nodeId, clock }));
    return { open, parts: { clock, metrics, random: seededRandom(nodeId === 'n1' ? 1 : 2), shards: 64 } };
  }

  async events(nodeId: string = 'n1'): Promise<EventStore> {
    const { open, parts } = await this.#open(nodeId);
    return new EventStore({ ...parts, log: open.events });
  }

  async states(nodeId: string = 'n1'): Promise<StateStore> {
    const { open, parts } = await this.#open(nodeId);
    return new StateStore({ ...parts, log: open.states });
  }

  /** Waits on virtual time. */
  async run<T>(promise: Promise<T>): Promise<T> {
    let isDone = false;
    const done = promise.finally(() => (isDone = true));
    await this.clock.until(() => isDone, { limitMs: 60_000 });
    return done;
  }
}

function draft(id: string): CommitDraft {
  return { id, at: 0, events: [{ name: 'E', schema: 1, data: id }] };
}

async function ids(world: World, events: EventStore): Promise<readonly string[]> {
  const commits: Commit[] = [];
  await world.run(events.load(alice, (commit) => commits.push(commit)));
  return commits.map(({ kind, id }) => (kind === 'fence' ? 'fence' : id));
}

/** One commit before, then one that ends with `fault` and is settled. */
async function settled(
  world: World,
  fault: AppendFault,
  between: (head: StreamHead) => Promise<unknown> = () => Promise.resolve(),
): Promise<{ events: EventStore; settlement: Settlement; head: StreamHead }> {
  const events = await world.events();
  const first = await world.run(events.append(alice, noHead, one, draft('first')));
  const head = first.kind === 'appended' ? first.head : noHead;
  world.faults.nextAppends(fault);
  const result = await world.run(events.append(alice, head, one, draft('mine')));
  expect(['unknown', 'conflict']).toContain(result.kind);
  await between(head);
  return { events, head, settlement: await world.run(events.settle(alice, head, one, 'mine')) };
}

describe('a commit without an answer', () => {
  test.each<AppendFault>(['stored_unknown', 'stored_conflict'])('that was %s is found', async (fault) => {
    const world = new World();
    const { events, settlement } = await settled(world, fault);
    expect(settlement).toMatchObject({ kind: 'appended', head: { version: 2 }, tail: [{ id: 'mine' }] });
    expect(await ids(world, events)).toEqual(['first', 'mine']);
  });

  test.each<AppendFault>(['lost', 'late', 'conflict'])('that was %s is shut out by a fence, also when it comes later', async (fault) => {
    const world = new World();
    const { events, settlement, head } = await settled(world, fault);
    expect(settlement).toMatchObject({ kind: 'absent', head: { version: 1, epoch: 1 }, tail: [] });
    world.faults.releaseLate();
    await world.clock.advance(100);
    expect(await ids(world, events)).toEqual(['first', 'fence']);
    const again = await world.run(events.append(alice, settlement.kind === 'absent' ? settlement.head : head, one, draft('mine')));
    expect(again.kind).toBe('appended');
    expect(await ids(world, events)).toEqual(['first', 'fence', 'mine']);
  });

  test('whose place another owner took is absent, and what that one wrote is told', async () => {
    const world = new World();
    const other = await world.events('n2');
    const { settlement } = await settled(world, 'late', async (head) => {
      await world.run(other.append(alice, head, two, draft('theirs')));
      world.faults.releaseLate();
    });
    expect(settlement).toMatchObject({ kind: 'absent', head: { version: 2, epoch: 2, owner: 'n2/b' }, tail: [{ id: 'theirs' }] });
    expect(await ids(world, other)).toEqual(['first', 'theirs']);
  });

  test('is not judged by a read that is stale', async () => {
    const world = new World();
    const settling = settled(world, 'stored_unknown', (head) => {
      world.faults.staleReads(head.sequence);
      world.clock.setTimer(3_000, () => world.faults.heal());
      return Promise.resolve();
    });
    const { settlement, events } = await settling;
    expect(settlement).toMatchObject({ kind: 'appended', tail: [{ id: 'mine' }] });
    expect(await ids(world, events)).toEqual(['first', 'mine']);
  });

  test('is found when the store is back, and its fence when that had no answer either', async () => {
    const world = new World();
    const away = await settled(world, 'stored_unknown', () => {
      world.faults.unavailable();
      world.clock.setTimer(5_000, () => world.faults.heal());
      return Promise.resolve();
    });
    expect(away.settlement.kind).toBe('appended');
    const unsure = new World();
    const fence = await settled(unsure, 'lost', () => Promise.resolve(unsure.faults.nextAppends('stored_unknown')));
    expect(fence.settlement).toMatchObject({ kind: 'absent', tail: [{ kind: 'fence' }] });
  });

  test('stays unknown when the store is away for too long', async () => {
    const world = new World();
    let start = 0;
    const { settlement } = await settled(world, 'stored_unknown', () => {
      world.faults.unavailable();
      start = world.clock.now();
      return Promise.resolve();
    });
    expect(settlement).toMatchObject({ kind: 'unknown', error: { code: 'commit.unknown', executed: 'unknown' } });
    expect(world.clock.now() - start).toBeLessThanOrEqual(10_100);
    const outcomes = world.metrics.snapshot().find(({ name }) => name === 'perkey_store_settled_total')?.series ?? [];
    expect(outcomes.filter((series) => 'value' in series && series.value > 0)).toMatchObject([{ labels: { outcome: 'unknown' } }]);
  });

  test('of a stream without records is settled in the same way', async () => {
    for (const [fault, kind] of [
      ['late', 'absent'],
      ['stored_unknown', 'appended'],
    ] as const) {
      const world = new World();
      const events = await world.events();
      world.faults.nextAppends(fault);
      await world.run(events.append(alice, noHead, one, draft('mine')));
      const settlement = await world.run(events.settle(alice, noHead, one, 'mine'));
      expect(settlement.kind).toBe(kind);
      world.faults.releaseLate();
      await world.clock.advance(10);
      expect(await ids(world, events)).toEqual([kind === 'absent' ? 'fence' : 'mine']);
    }
  });
});

describe('states', () => {
  const state = (id: string) => ({ id, at: 5, state: { value: id }, bookkeeping: ['b'] });

  test('take the place of the one before, and are loaded', async () => {
    const world = new World();
    const states = await world.states();
    expect(await world.run(states.load(alice))).toBeUndefined();
    const first = await world.run(states.save(alice, noHead, one, state('one')));
    const head = first.kind === 'appended' ? first.head : noHead;
    const second = await world.run(states.save(alice, head, one, state('two')));
    expect(await world.run(states.save(alice, head, one, state('late')))).toEqual({ kind: 'conflict' });
    const loaded = await world.run(states.load(alice));
    expect(loaded).toMatchObject({ id: 'two', at: 5, state: { value: 'two' }, bookkeeping: ['b'], previousHash: head.hash });
    expect(second).toEqual({ kind: 'appended', head: loaded?.head });
    expect(loaded?.head).toMatchObject({ version: 2, epoch: 1 });
  });

  test.each<[AppendFault, 'appended']>([
    ['lost', 'appended'],
    ['stored_unknown', 'appended'],
    ['stored_conflict', 'appended'],
    ['late', 'appended'],
  ])('without an answer (%s) are saved again until there is one', async (fault, kind) => {
    const world = new World();
    const states = await world.states();
    world.faults.nextAppends(fault);
    await world.run(states.save(alice, noHead, one, state('one')));
    const settlement = await world.run(states.settle(alice, noHead, one, state('one')));
    world.faults.releaseLate();
    expect(settlement).toMatchObject({ kind, head: { version: 1 } });
    expect(await world.run(states.load(alice))).toMatchObject({ id: 'one', head: { version: 1 } });
    expect(world.store.history).toHaveLength(1);
  });

  test('whose place another owner took are absent, and that one is told', async () => {
    const world = new World();
    const states = await world.states();
    const other = await world.states('n2');
    world.faults.nextAppends('late');
    await world.run(states.save(alice, noHead, one, state('mine')));
    await world.run(other.save(alice, noHead, two, state('theirs')));
    const settlement = await world.run(states.settle(alice, noHead, one, state('mine')));
    expect(settlement).toMatchObject({ kind: 'absent', latest: { id: 'theirs', head: { epoch: 2 } } });
  });

  test('stay unknown when the store is away for too long', async () => {
    const world = new World();
    const states = await world.states();
    world.faults.unavailable();
    expect(await world.run(states.settle(alice, noHead, one, state('mine')))).toMatchObject({
      kind: 'unknown',
      error: { code: 'commit.unknown' },
    });
  });
});
