import { expect, test } from 'vitest';
import { z } from 'zod';
import { PerkeyError } from '../base/errors.ts';
import { defineActor } from './definition.ts';

const Box = defineActor('box', { put: { input: z.number() }, look: { output: z.number(), readonly: true } });

const right = {
  initial: () => 0,
  events: { Put: z.number() },
  evolve: { Put: (state: number, n: number) => state + n },
  commands: { put: () => {} },
  queries: { look: () => 0 },
};

const wrong: readonly [what: string, change: object, text: RegExp][] = [
  ['no initial state', { initial: undefined }, /initial is missing/],
  ['events that are no object', { events: 3 }, /events is not an object/],
  ['a malformed event name', { events: { 'a b': z.number() }, evolve: { 'a b': () => 0 } }, /event name of actor box: "a b"/],
  ['an event without schema', { events: { Put: {} } }, /event Put is neither a Standard Schema nor/],
  ['a version of 0', { events: { Put: { version: 0, schema: z.number() } } }, /version of event Put is not a whole number from 1/],
  ['an event that evolve leaves out', { evolve: {} }, /evolve\.Put is missing/],
  ['evolve for no event', { evolve: { ...right.evolve, Get: () => 0 } }, /evolve names "Get"/],
  ['an inherited evolve', { events: { toString: z.number() }, evolve: {} }, /evolve\.toString is missing/],
  [
    'a step that is missing',
    { events: { Put: { version: 3, schema: z.number() } }, upcasters: { Put: { 1: () => 0 } } },
    /from version 2 to 3/,
  ],
  ['a step too many', { upcasters: { Put: { 1: () => 0 } } }, /at version 1, so that nothing leads on from version "1"/],
  ['upcasters of no event', { upcasters: { Get: {} } }, /upcasters names "Get"/],
  ['a missing command', { commands: {} }, /commands\.put is missing/],
  ['a missing query', { queries: {} }, /queries\.look is missing/],
  ['a query among the commands', { commands: { put: () => {}, look: () => 0 } }, /method look belongs into queries/],
  ['a method too many', { commands: { put: () => {}, take: () => {} } }, /no method "take"/],
  ['a state version that is no number', { stateVersion: 'x' }, /stateVersion is not a whole number/],
];

test.each(wrong)('%s is refused where the aggregate is defined', (_what, change, text) => {
  let thrown: unknown;
  try {
    Box.aggregate<number, typeof right.events>({ ...right, ...change });
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(PerkeyError);
  expect((thrown as PerkeyError).code).toBe('contract.invalid');
  expect((thrown as PerkeyError).message).toMatch(text);
});

test('versions and their steps are kept in order', () => {
  const upcasters = { Put: { 1: () => 'one', 2: () => 'two' } };
  const { aggregate } = Box.aggregate({ ...right, events: { Put: { version: 3, schema: z.number() } }, upcasters });
  const put = aggregate.events.get('Put');
  expect(put?.version).toBe(3);
  expect(put?.upcasters.map((step) => step(0))).toEqual(['one', 'two']);
});
