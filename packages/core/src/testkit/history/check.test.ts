import { expect, test } from 'vitest';
import { type CheckHistoryOptions, expectHistory, verdictText } from './check.ts';
import { byOther, check, models, type More, ok, put, refused, rulesOf, unknown } from './check-fixture.ts';
import type { LoggedEvent, Operation } from './operation.ts';

const event = (version: number, rid: string, more: Partial<LoggedEvent> = {}): LoggedEvent => ({
  key: 'k',
  version,
  rid,
  epoch: 1,
  by: 'n1',
  ...more,
});

test('a state may die where that is allowed, and is not there again afterwards', () => {
  const operations = [ok(0, 1, 'add', 1, { life: 'x' }), ok(2, 3, 'add', 1, { life: 'y' }), ok(4, 5, 'read', 1, { life: 'y' })];
  const losses: unknown[] = [];
  const mayDie: CheckHistoryOptions['mayDie'] = (loss) => losses.push(loss) > 0;
  expect(check('counter', operations, { mayDie }).decision).toBe('accepted');
  expect(losses).toEqual([{ key: 'k', before: 'x', after: 'y', from: 0, to: 3 }]);
  const back = [...operations, ok(6, 7, 'read', 1, { life: 'x' })];
  expect(rulesOf(check('counter', back, { mayDie }))).toEqual(['linearizable']);
  const inRegister = [ok(0, 1, 'write', undefined, put('v', { life: 'x' })), ok(2, 3, 'read', null, { life: 'y' })];
  expect(check('register', inRegister, { mayDie }).decision).toBe('accepted');
  expect(check('register', [...inRegister, ok(4, 5, 'read', 'v', { life: 'y' })], { mayDie }).decision).toBe('rejected');
});

test('later lives are those of later epochs, whatever the times leave open', () => {
  const operations = [ok(0, 9, 'add', 1, { life: 'x', epoch: 2 }), ok(0, 9, 'add', 1, { life: 'y', epoch: 1 })];
  const seen: string[] = [];
  check('counter', operations, { mayDie: ({ before, after }) => seen.push(`${before} ${after}`) > 0 });
  expect(seen).toEqual(['y x']);
});

const logged = [ok(0, 2, 'add', 1, { rid: 'r1', version: 1 }), ok(3, 5, 'add', 2, { rid: 'r2', version: 2 })];
const log = [event(1, 'r1', { at: 1 }), event(2, 'r2', { at: 4, epoch: 2, by: 'n2' })];

test.each([
  ['an answered request that is not in the log', ['nothing lost'], logged, [log[0]!]],
  ['one that was executed twice', ['nothing doubled'], logged, [...log, event(3, 'r1', { epoch: 2, by: 'n2', at: 4.5 })]],
  [
    'a refused one that is in the log',
    ['honest outcome'],
    [...logged, refused(6, 8, 'add', { rid: 'r3' })],
    [...log, event(3, 'r3', { at: 7, epoch: 2, by: 'n2' })],
  ],
  ['a version that was told otherwise', ['nothing lost'], [{ ...logged[0]!, version: 2 }, logged[1]!], log],
  ['an incarnation that was told otherwise', ['nothing lost', 'one incarnation'], [{ ...logged[0]!, epoch: 1, by: 'n9' }, logged[1]!], log],
  ['a version left out', ['versions without gap'], [], [log[0]!, event(3, 'r2', { at: 4 })]],
  ['a version twice', ['versions without gap'], [], [log[0]!, event(1, 'r2', { at: 4 })]],
  ['an epoch that fell', ['epochs rise'], [], [event(1, 'r1', { epoch: 2, by: 'n2' }), event(2, 'r2')]],
  ['two incarnations under one epoch', ['one incarnation'], [], [log[0]!, event(2, 'r2', { by: 'n2', at: 4 })]],
  [
    'calls of one client in another order',
    ['order of a client'],
    [],
    [event(1, 'r1', { client: 'a', seq: 2 }), event(2, 'r2', { client: 'a', seq: 1 })],
  ],
  ['an event before its call', ['nothing lost'], logged, [log[0]!, { ...log[1]!, at: 2.5 }]],
  ['an event after its answer', ['nothing lost'], logged, [log[0]!, { ...log[1]!, at: 5.5 }]],
] as const)('in the log: %s', (_, rules, operations, events) => {
  const verdict = check('counter', operations, { events, least: { answered: 0, keys: 0 } });
  expect([verdict.decision, rulesOf(verdict)], verdictText(verdict)).toEqual(['rejected', rules]);
});

test('a log that agrees is accepted, also with requests in doubt either way, and by `rid` alone', () => {
  const doubt = [unknown(6, 7, 'add', { rid: 'r3' }), unknown(6, 7, 'add', { rid: 'r4' }), ok(8, 9, 'read', 3, { rid: 'r5' })];
  const events = [...log, event(3, 'r3', { at: 8, epoch: 2, by: 'n2' })];
  const verdict = check('counter', [...logged, ...doubt], { events });
  expect(verdict.decision, verdictText(verdict)).toBe('accepted');
});

test('a log of parts does not say what is missing, an empty one that is complete does', () => {
  expect(check('counter', logged, { events: [log[0]!], isLogComplete: false }).decision).toBe('accepted');
  expect(rulesOf(check('counter', logged, { events: [], isLogComplete: true }))).toEqual(['nothing lost']);
});

const ticks = (from: number, to: number, more: More = {}): Operation[] =>
  Array.from({ length: (to - from) / 10 }, (_, i) => ok(from + i * 10, from + i * 10 + 5, 'read', 0, more));

test('every key is answered again after the last fault, and by each incarnation that is asked for', () => {
  const operations = [...ticks(0, 100, { by: 'n1' }), refused(100, 101, 'read'), ...ticks(110, 160, { by: 'n2' })];
  expect(check('counter', operations, { atTheEnd: { since: 100, incarnations: ['n2'] } }).decision).toBe('accepted');
  expect(rulesOf(check('counter', operations, { atTheEnd: { since: 120 } }))).toEqual(['alive at the end']);
  expect(rulesOf(check('counter', operations, { atTheEnd: { since: 100, withinMs: 50 } }))).toEqual(['alive at the end']);
  expect(rulesOf(check('counter', operations, { atTheEnd: { since: 100, keys: ['k', 'l'] } }))).toEqual(['alive at the end']);
  expect(rulesOf(check('counter', operations, { atTheEnd: { since: 100, incarnations: ['n1'] } }))).toEqual(['alive at the end']);
  const interrupted = [...operations.slice(0, -2), refused(140, 141, 'read'), ...ticks(150, 170)];
  expect(rulesOf(check('counter', interrupted, { atTheEnd: { since: 100 } }))).toEqual(['alive at the end']);
});

test('the longest time without an answer is told for each key, and bounded where asked for', () => {
  const operations = [...ticks(0, 100), refused(100, 101, 'read'), ...ticks(150, 200), ...ticks(0, 200, { key: 'l' })];
  const { figures, decision } = check('counter', operations, { gapMsMax: 60 });
  expect(decision).toBe('accepted');
  expect(figures.longestGap).toEqual({ key: 'k', gapMs: 60, from: 95, to: 155 });
  expect(figures.gapMs).toEqual({ p50: 10, p99: 60, max: 60 });
  expect(figures.latencyMs).toEqual({ p50: 5, p99: 5, max: 5 });
  expect(rulesOf(check('counter', operations, { gapMsMax: 59 }))).toEqual(['bounded gap']);
  const inVain = [...ticks(0, 50), unknown(60, 300, 'read')];
  expect(check('counter', inVain).figures.longestGap).toEqual({ key: 'k', gapMs: 255, from: 45, to: 300 });
});

test('a run in which too little happened is no proof', () => {
  const operations = [ok(0, 1, 'add', 1), { ...refused(0, 1, 'add'), code: 'mailbox.full' }];
  expect(check('counter', operations, { least: { answered: 1, codes: ['mailbox.full'], bites: { cut: 3 } } }).decision).toBe('accepted');
  for (const least of [{ answered: 2 }, { keys: 2 }, { codes: ['shard.moved'] }, { bites: { cut: 0 } }, { bites: { cut: Number.NaN } }])
    expect(rulesOf(check('counter', operations, { least })), JSON.stringify(least)).toEqual(['not vacuous']);
  expect(rulesOf(check('counter', []))).toEqual(['not vacuous']);
});

/** Concurrent silent adds: as many sums as there are subsets, and none of them is odd. */
const crowd = (count: number): Operation[] =>
  Array.from({ length: count }, (_, i) => ok(0, 100, 'add', undefined, { input: 2 ** (i + 1) }));

test('a search that runs out of steps decides nothing, and says for which key', () => {
  const operations = [...crowd(16), ok(0, 100, 'read', 3), ok(0, 1, 'read', 0, { key: 'l' })];
  const verdict = check('counter', operations, { stepsMax: 5_000 });
  expect([verdict.decision, verdict.undecided, verdict.findings]).toEqual(['undecided', ['k'], []]);
  expect(verdictText(verdict)).toContain('not decided within the steps allowed: k');
  expect(() => expectHistory({ operations, events: [] }, { model: models.counter, stepsMax: 5_000 })).toThrow(/^undecided: 18 operations/);
});

test('so does a choice between sums', () => {
  const loose = Array.from({ length: 40 }, (_, i) => unknown(0, 1, 'add', { input: 1_000 + i }));
  const operations = [...loose, ok(0, 5, 'read', 20_500), ok(0, 5, 'read', 500_000)];
  expect(check('counter', operations, { stepsMax: 2_000 }).decision).toBe('undecided');
});

test('a rejection shows the few operations that contradict each other', () => {
  const before = Array.from({ length: 150 }, (_, i) => [
    ok(i * 10, i * 10 + 12, 'write', undefined, put(`v${i}`, { client: `c${i % 3}` })),
    ok(i * 10 + 3, i * 10 + 9, 'read', i % 2 === 0 ? `v${i}` : `v${i - 1}`, byOther),
  ]).flat();
  const operations = [...before, ok(2_000, 2_001, 'read', 'v70', byOther), ok(2_100, 2_101, 'read', 'v149')];
  const verdict = check('register', operations);
  expect(verdict.findings.map(({ rule, key }) => [rule, key])).toEqual([['linearizable', 'k']]);
  const shown = verdict.findings[0]!.operations;
  expect(shown.length).toBeLessThanOrEqual(4);
  expect(shown).toContainEqual(ok(2_000, 2_001, 'read', 'v70', byOther));
  expect(check('register', shown.concat(before.filter(({ op }) => op === 'write'))).decision).toBe('rejected');
  expect(verdictText(verdict)).toContain('b: read() on k -> "v70" [2000, 2001]');
});

test('of many findings some are kept and all are counted', () => {
  const operations = Array.from({ length: 50 }, (_, i) => ok(0, 1, 'read', 7, { key: `k${i}` }));
  const { findings, findingCount } = check('counter', operations, { findingsMax: 3 });
  expect([findings.length, findingCount]).toEqual([3, 50]);
});

test('what is no history is refused', () => {
  expect(() => check('counter', [ok(2, 1, 'add', 1)])).toThrow(/ends no earlier than it begins/);
  expect(() => check('counter', [ok(0, Infinity, 'add', 1)])).toThrow(/an answered operation has an end/);
  expect(() => check('counter', [ok(0, 1, 'increment', 1)])).toThrow(/a counter has no operation "increment"/);
  expect(() => check('counter', [ok(0, 1, 'add', 1, { input: 0.5 })])).toThrow(/a whole number/);
  expect(() => check('register', [ok(0, 1, 'swap')])).toThrow(/a register has no operation "swap"/);
  expect(() => check('register', [ok(0, 1, 'cas', true, { input: 3 })])).toThrow(/\{ expected, to \}/);
  expect(() => check('list', [ok(0, 1, 'push')])).toThrow(/an append-list has no operation "push"/);
  expect(() => check('counter', [ok(0, 1, 'add', 1, { life: 'x' }), ok(0, 1, 'add', 2)])).toThrow(/tell their life/);
});
