import { expect, test } from 'vitest';
import { violations } from './harness/history-check.ts';
import type { Seen } from './harness/ledger.ts';
import type { Outcome } from './harness/outcome.ts';
import type { Turn } from './harness/trace.ts';

const seen = (value: number, more: Partial<Seen> = {}): Seen => ({ value, born: 's1', epoch: 1, node: 'a', by: 'a1', ...more });
const turn = (at: number, rid: string, state: Seen): Turn => ({ is: 'turn', at, rid: `c/k/${rid}`, key: 'k', ...state });
const call = (t0: number, t1: number, rid: string, told: Outcome['told']): Outcome => {
  return { method: rid === '' ? 'get' : 'add', key: 'k', rid: rid && `c/k/${rid}`, t0, t1, told };
};
const ok = (t0: number, t1: number, rid: string, state: Seen): Outcome => call(t0, t1, rid, { ok: state });
const refused = (t0: number, t1: number, rid: string, executed: 'no' | 'unknown'): Outcome => {
  return call(t0, t1, rid, { executed, code: 'x', message: '' });
};
const check = (turns: readonly Turn[], outcomes: readonly Outcome[]): string =>
  violations({ turns, outcomes, shardOf: () => 7 }).join('\n');

const moved = { epoch: 2, node: 'b', by: 'b1' };

test('what may happen is let pass: a move with the state, a state that died, an outcome in doubt either way, a refusal', () => {
  const turns = [turn(1, '1', seen(1)), turn(3, '2', seen(2, moved)), turn(5, '4', seen(1, { ...moved, epoch: 3, born: 's2' }))];
  const outcomes = [
    ok(0, 2, '1', seen(1)),
    refused(2, 9, '2', 'unknown'),
    refused(2, 9, '3', 'unknown'),
    ok(4, 6, '4', seen(1, { ...moved, epoch: 3, born: 's2' })),
    refused(4, 6, '5', 'no'),
    ok(7, 8, '', seen(1, { ...moved, epoch: 3, born: 's2' })),
  ];
  expect(check(turns, outcomes)).toBe('');
});

test.each([
  ['an acknowledged call was never executed', 'nothing lost', [], [ok(0, 1, '1', seen(1))]],
  ['a refused call was executed', 'honest outcome', [turn(1, '1', seen(1))], [refused(0, 2, '1', 'no')]],
  ['a call was executed twice', 'nothing doubled', [turn(1, '1', seen(1)), turn(2, '1', seen(2))], []],
  ['a caller was told the value of somebody else', 'nothing lost', [turn(1, '1', seen(1))], [ok(0, 2, '1', seen(2))]],
  ['an update was lost on a move', 'versions without gap', [turn(1, '1', seen(1)), turn(2, '2', seen(1, moved))], []],
  ['an update was counted twice', 'versions without gap', [turn(1, '1', seen(2))], []],
  ['two incarnations under one epoch', 'one incarnation', [turn(1, '1', seen(1)), turn(2, '2', seen(2, { node: 'b', by: 'b1' }))], []],
  ['a former owner went on', 'epochs rise', [turn(1, '1', seen(1, { ...moved, born: 's2' })), turn(2, '2', seen(1))], []],
  ['calls of one sender overtook each other', 'order of a client', [turn(1, '2', seen(1)), turn(2, '1', seen(2))], []],
  [
    'a read went back',
    'linearizable',
    [turn(1, '1', seen(1)), turn(2, '2', seen(2))],
    [ok(0, 3, '2', seen(2)), refused(0, 9, '1', 'unknown'), ok(4, 5, '', seen(1))],
  ],
  [
    'a former owner answered a read',
    'epochs rise',
    [turn(1, '1', seen(1)), turn(2, '2', seen(1, { ...moved, born: 's2' }))],
    [ok(0, 3, '2', seen(1, { ...moved, born: 's2' })), ok(4, 5, '', seen(1))],
  ],
  ['two calls made the same value', 'linearizable', [turn(1, '1', seen(1))], [ok(0, 2, '1', seen(1)), ok(3, 4, '2', seen(1))]],
] as const)('found: %s (%s)', (_, rule, turns, outcomes) => {
  expect(check(turns, outcomes)).toMatch(new RegExp(`^${rule}`, 'm'));
});
