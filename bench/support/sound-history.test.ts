import { appendList, checkHistory, counter, type HistoryModel, type Operation, register, verdictText } from '@perkey/core/testing';
import { expect, test } from 'vitest';
import { historyOf, type Kind } from './sound-history.ts';

const models: readonly (readonly [Kind, HistoryModel, unknown])[] = [
  ['append-list', appendList() as HistoryModel, 1],
  ['counter', counter() as HistoryModel, 1],
  ['register', register() as HistoryModel, 'never'],
];

test.each(models)('40,000 operations on 40 keys, a fiftieth of them in doubt, are decided: %s', (kind, model, wrong) => {
  const operations = historyOf(kind, 40_000, 40, 0.05);
  const decide = (history: readonly Operation[]): ReturnType<typeof checkHistory> =>
    checkHistory({ operations: history, events: [] }, { model });
  const sound = decide(operations);
  expect(sound.decision, verdictText(sound)).toBe('accepted');
  const last = operations.findLastIndex(({ op, outcome }) => op === 'read' && outcome === 'ok');
  const stale = decide(operations.with(last, { ...operations[last]!, output: wrong }));
  expect([stale.decision, stale.findings.map(({ key }) => key)]).toEqual(['rejected', [operations[last]!.key]]);
});
