import fc from 'fast-check';
import { expect, test } from 'vitest';
import { seededRandom, type Random } from '../../base/random.ts';
import { appendList } from './append-list.ts';
import { checkHistory, verdictText } from './check.ts';
import { counter } from './counter.ts';
import {
  counterPlay,
  hasOrder,
  listPlay,
  mutated,
  openCounterPlay,
  type Play,
  played,
  registerPlay,
  repetitiveListPlay,
  silentListPlay,
} from './history-fixture.ts';
import { deathsOf, livesOf, withLives } from './lives.ts';
import type { HistoryModel } from './model.ts';
import type { Operation } from './operation.ts';
import { register } from './register.ts';

const games: readonly (readonly [string, Play, HistoryModel])[] = [
  ['counter with places', counterPlay, counter() as HistoryModel],
  ['counter without places', openCounterPlay, counter() as HistoryModel],
  ['register', registerPlay, register() as HistoryModel],
  ['append-list', listPlay, appendList() as HistoryModel],
  ['append-list of silent appends', silentListPlay, appendList() as HistoryModel],
  ['append-list without places', repetitiveListPlay, appendList() as HistoryModel],
];
const seeds = fc.integer({ min: 0, max: 2 ** 31 });

function decided(operations: readonly Operation[], model: HistoryModel): string {
  return checkHistory({ operations, events: [] }, { model, mayDie: () => true, least: { answered: 0, keys: 0 } }).decision;
}

function small(play: Play, random: Random): Operation[] {
  const calls = 2 + Math.floor(random.next() * 6);
  return played(play, random, { calls, clients: 3, atOnce: 1 + random.next() * 4, unknown: 0.25, refused: 0.1 });
}

test.each(games)('%s: what a sound system shows is accepted, also when it is more', (_, play, model) => {
  fc.assert(
    fc.property(seeds, (seed) => {
      const random = seededRandom(seed);
      const calls = 20 + Math.floor(random.next() * 80);
      const operations = played(play, random, { calls, clients: 8, atOnce: 1 + random.next() * 2, unknown: 0.08, refused: 0.05 });
      const verdict = checkHistory({ operations, events: [] }, { model, mayDie: () => true, least: { answered: 0, keys: 0 } });
      expect(verdict.decision, verdictText(verdict)).toBe('accepted');
    }),
    { numRuns: 50 },
  );
});

test.each(games)('%s: the verdict on a small history, mostly one with a fault, is that of trying every order', (_, play, model) => {
  const counts = { accepted: 0, rejected: 0, undecided: 0 };
  fc.assert(
    fc.property(seeds, (seed) => {
      const random = seededRandom(seed);
      let operations = small(play, random);
      for (let faults = Math.floor(random.next() * 4); faults > 0; faults -= 1) operations = mutated(operations, random);
      const verdict = checkHistory({ operations, events: [] }, { model, least: { answered: 0, keys: 0 } });
      counts[verdict.decision] += 1;
      expect(verdict.decision, verdictText(verdict)).toBe(hasOrder(model, operations) ? 'accepted' : 'rejected');
    }),
    { numRuns: 1_200 },
  );
  expect(Math.min(counts.accepted, counts.rejected)).toBeGreaterThan(30);
  expect(counts.undecided).toBe(0);
});

/** Numbers the calls of each client by their start. */
function numbered(operations: readonly Operation[], everyOne: boolean): Operation[] {
  const sent = operations.toSorted((a, b) => a.t0 - b.t0);
  return sent.map((operation, i) => (everyOne || operation.outcome === 'ok' ? { ...operation, seq: i } : operation));
}

test.each(games)('%s: so is the verdict on calls whose order was promised', (name, play, model) => {
  const counts = { accepted: 0, rejected: 0, undecided: 0 };
  fc.assert(
    fc.property(seeds, (seed) => {
      const random = seededRandom(seed);
      // Where places tell the order, they do so for calls that were answered.
      const isSearch = model.places === undefined || name.endsWith('without places');
      const before = small(play, random);
      const operations = numbered(random.next() < 0.3 ? mutated(before, random) : before, isSearch);
      const decision = decided(operations, isSearch ? ({ ...model, places: undefined } as unknown as HistoryModel) : model);
      counts[decision as 'accepted'] += 1;
      expect(decision).toBe(hasOrder(model, operations) ? 'accepted' : 'rejected');
    }),
    { numRuns: 1_200 },
  );
  expect(Math.min(counts.accepted, counts.rejected)).toBeGreaterThan(10);
});

/** Every order of the lives, and every order of the operations in it. */
function hasOrderOfLives(model: HistoryModel, operations: readonly Operation[]): boolean {
  const lives = livesOf(operations);
  if (lives.length < 2) return hasOrder(model, operations);
  const orders = lives.length === 2 ? [lives, lives.toReversed()] : permutations(lives);
  return orders.some((order) => hasOrder(withLives(model, order) as HistoryModel, [...operations, ...deathsOf('k', order)]));
}

function permutations<Item>(items: readonly Item[]): Item[][] {
  if (items.length < 2) return [[...items]];
  return items.flatMap((item, i) => permutations(items.toSpliced(i, 1)).map((rest) => [item, ...rest]));
}

test.each(games)('%s: so is the verdict where the state may die', (_, play, model) => {
  const counts = { accepted: 0, rejected: 0, undecided: 0 };
  fc.assert(
    fc.property(seeds, (seed) => {
      const random = seededRandom(seed);
      const calls = 2 + Math.floor(random.next() * 5);
      let operations = played(play, random, { calls, clients: 3, atOnce: 1 + random.next() * 3, unknown: 0.2, refused: 0.1, deaths: 2 });
      if (random.next() < 0.7) operations = mutated(operations, random);
      const decision = decided(operations, model);
      counts[decision as 'accepted'] += 1;
      expect(decision).toBe(hasOrderOfLives(model, operations) ? 'accepted' : 'rejected');
    }),
    { numRuns: 1_200 },
  );
  expect(Math.min(counts.accepted, counts.rejected)).toBeGreaterThan(10);
});
