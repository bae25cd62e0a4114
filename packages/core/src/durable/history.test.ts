import { expect, test } from 'vitest';
import { seededRandom } from '../base/random.ts';
import type { EventCatalogue } from '../events/event-catalogue.ts';
import { EventStore } from '../events/event-store.ts';
import type { StoredEvent } from '../events/stored-event.ts';
import { account, ask } from '../testkit/accounts.ts';
import { DurableWorld } from '../testkit/durable-fixture.ts';
import { HistoryPlaces } from './history-places.ts';
import { historyRange, readHistory } from './history.ts';

const world = async () => {
  const made = await DurableWorld.start();
  const node = made.node([account]);
  await ask(made, node, 'open', { owner: 'ann' });
  await ask(made, node, 'many', { count: 3 });
  await ask(made, node, 'withdraw', { amount: 1n });
  return { world: made, node };
};
const all = ['1 Opened 1', '2 Deposited 1', '3 Deposited 1', '4 Deposited 1', '5 Withdrawn 1'];

test('a query reads the history of its actor, page by page', async () => {
  const { world: made, node } = await world();
  const history = async (input: object): Promise<unknown> => (await ask(made, node, 'history', input)).value;
  expect(await history({})).toEqual(all);
  expect(await history({ limit: 2 })).toEqual(all.slice(0, 2));
  // The page ends within a commit.
  expect(await history({ after: 2, limit: 1 })).toEqual(all.slice(2, 3));
  expect(await history({ after: 3 })).toEqual(all.slice(3));
  expect(await history({ after: 5 })).toEqual([]);
  expect(await history({ after: 900 })).toEqual([]);
});

test('a later page begins where a former one ended, or at the newest snapshot, and holds the same as all of it', async () => {
  const made = await DurableWorld.start();
  const node = made.node([account], { durable: { snapshotEvery: 100 } });
  await ask(made, node, 'open', { owner: 'ann' });
  for (let commit = 0; commit < 300; commit += 1) await ask(made, node, 'many', { count: 1 + (commit % 3) });
  const history = async (on: typeof node, input: object): Promise<readonly string[]> =>
    (await ask(made, on, 'history', input)).value as readonly string[];
  const readBy = async (on: typeof node, input: object): Promise<readonly [number, readonly string[]]> => {
    const count = (): number => on.metric('perkey_store_records_read_total', 'log=events') ?? 0;
    const before = count();
    const page = await history(on, input);
    return [count() - before, page];
  };
  const whole = await history(node, { limit: 1_000 });
  expect(whole).toHaveLength(601);

  // The next owner knows of nothing but the snapshot that it was loaded from.
  const next = made.node([account], { durable: { snapshotEvery: 0 } });
  await ask(made, next, 'balance');
  const [ofFirst, first] = await readBy(next, { limit: 50 });
  expect(first).toEqual(whole.slice(0, 50));
  expect(ofFirst).toBeLessThan(60);
  for (let after = 50; after < 601; after += 50) {
    const [records, page] = await readBy(next, { after, limit: 50 });
    expect(page).toEqual(whole.slice(after, after + 50));
    expect(records).toBeLessThan(60);
  }
  const third = made.node([account]);
  await ask(made, third, 'deposit', { amount: 1n });
  const [ofTail, tail] = await readBy(third, { after: 601 });
  expect(tail).toEqual(['602 Deposited 1']);
  expect(ofTail).toBeLessThan(10);
});

test('a place that does not hold what it should is given up for the beginning', async () => {
  const made = await DurableWorld.start();
  const node = made.node([account]);
  await ask(made, node, 'many', { count: 5 });
  await ask(made, node, 'many', { count: 5 });
  const opened = await made.openFor('n');
  const events = new EventStore({ log: opened.events, shards: 1, clock: made.clock });
  const catalogue = { lead: (event: StoredEvent) => event } as EventCatalogue;
  const places = new HistoryPlaces();
  places.note({ version: 2, sequence: 2 });
  const range = { after: 3, limit: 4 };
  const read = { events, catalogue, places, range, stream: { type: 'account', key: 'alice' }, version: 10, signal: AbortSignal.any([]) };
  const found = await made.clock.run(readHistory(read));
  expect(found.map(({ version }) => version)).toEqual([4, 5, 6, 7]);
});

test('places are few, whatever is noted, and never lie behind what is asked for', () => {
  const places = new HistoryPlaces();
  const random = seededRandom(3);
  for (let i = 0; i < 2_000; i += 1) {
    const version = Math.floor(random.next() * 100_000);
    places.note({ version, sequence: version * 2 });
    const asked = Math.floor(random.next() * 100_000);
    const found = places.before(asked);
    expect(found.version).toBeLessThanOrEqual(asked);
    expect(found.sequence).toBe(found.version * 2);
  }
  expect(places.size).toBeLessThanOrEqual(64);
  expect(places.before(100_000).version).toBeGreaterThan(90_000);
  expect(places.forget()).toEqual(places.before(100_000));
});

test('a node that lost its actor without knowing it gives no more than what fits its state', async () => {
  const { world: made, node } = await world();
  const other = made.node([account]);
  await ask(made, other, 'deposit', { amount: 5n });
  expect((await ask(made, node, 'history', {})).value).toEqual(all);
  expect((await ask(made, node, 'balance')).value).toBe(2n);
  expect((await ask(made, other, 'history', {})).value).toEqual([...all, '6 Deposited 1']);
});

test('what a command raised is not in the history that it sees', async () => {
  const { world: made, node } = await world();
  expect((await ask(made, node, 'depositAndLook', { amount: 5n })).value).toEqual(all);
  expect((await ask(made, node, 'history', { after: 5 })).value).toEqual(['6 Deposited 1']);
});

test('an actor without history has an empty one', async () => {
  const made = await DurableWorld.start();
  expect((await ask(made, made.node([account]), 'history', {})).value).toEqual([]);
});

test.each([{ limit: 0 }, { limit: 1_001 }, { limit: 1.5 }, { after: -1 }, { after: Number.NaN }])('%j is refused', (options) => {
  expect(() => historyRange(options)).toThrow(RangeError);
});

test('the bounds of a page', () => {
  expect(historyRange({})).toEqual({ after: 0, limit: 100 });
  expect(historyRange({ after: 7, limit: 1_000 })).toEqual({ after: 7, limit: 1_000 });
});
