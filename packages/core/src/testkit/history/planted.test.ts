import { expect, test } from 'vitest';
import { verdictText } from './check.ts';
import { byOther, check, models, type More, ok, put, refused, rulesOf, unknown } from './check-fixture.ts';
import type { Operation } from './operation.ts';

const cas = (expected: unknown, to: unknown): More => ({ input: { expected, to } });

/** Each fault with its neighbour: the history that differs in one thing and is sound. */
const cases: readonly (readonly [string, keyof typeof models, string, readonly Operation[], readonly Operation[]])[] = [
  [
    'a read that went back',
    'counter',
    'linearizable',
    [ok(0, 1, 'add', 1), ok(2, 3, 'add', 2), ok(4, 5, 'read', 1)],
    [ok(0, 1, 'add', 1), ok(2, 4, 'add', 2), ok(4, 5, 'read', 1)],
  ],
  [
    'two adds that made one value',
    'counter',
    'linearizable',
    [ok(0, 3, 'add', 1), ok(0, 3, 'add', 1)],
    [ok(0, 3, 'add', 1), ok(0, 3, 'add', 2)],
  ],
  ['an effect that nobody asked for', 'counter', 'linearizable', [ok(0, 1, 'add', 2)], [ok(0, 1, 'add', 2), unknown(0, 1, 'add')]],
  [
    'an effect before its call',
    'counter',
    'linearizable',
    [ok(0, 1, 'add', 2), unknown(2, 3, 'add')],
    [ok(0, 1, 'add', 2), unknown(1, 3, 'add')],
  ],
  [
    'a gap that no sum of those in doubt fills',
    'counter',
    'linearizable',
    [ok(0, 1, 'add', 8, { input: 1 }), unknown(0, 1, 'add', { input: 5 }), unknown(0, 1, 'add', { input: 3 })],
    [ok(0, 1, 'add', 9, { input: 1 }), unknown(0, 1, 'add', { input: 5 }), unknown(0, 1, 'add', { input: 3 })],
  ],
  ['a lost add', 'counter', 'linearizable', [ok(0, 1, 'add', 1), ok(2, 3, 'read', 0)], [ok(0, 1, 'add', 1), ok(1, 3, 'read', 0)]],
  [
    'an add after it was refused',
    'counter',
    'honest outcome',
    [refused(0, 1, 'add'), ok(2, 3, 'read', 1)],
    [refused(0, 1, 'add'), ok(2, 3, 'read', 0)],
  ],
  [
    'a read of a value that was passed over',
    'counter',
    'linearizable',
    [ok(0, 9, 'add', 3, { input: 3 }), ok(0, 9, 'read', 2)],
    [ok(0, 9, 'add', 3, { input: 3 }), ok(0, 9, 'read', 3)],
  ],
  ['a value below zero', 'counter', 'linearizable', [ok(0, 1, 'read', -1)], [ok(0, 1, 'read', 0)]],
  [
    'a take away that was forgotten',
    'counter',
    'linearizable',
    [ok(0, 1, 'add', 3, { input: 3 }), ok(2, 3, 'add', 1, { input: -2 }), ok(4, 5, 'read', 3)],
    [ok(0, 1, 'add', 3, { input: 3 }), ok(2, 4, 'add', 1, { input: -2 }), ok(4, 5, 'read', 3)],
  ],
  ['a read of a value that was never written', 'register', 'linearizable', [ok(0, 1, 'read', 'x')], [ok(0, 1, 'read', null)]],
  [
    'a stale read',
    'register',
    'linearizable',
    [ok(0, 1, 'write', undefined, put('x')), ok(2, 3, 'write', undefined, put('y')), ok(4, 5, 'read', 'x')],
    [ok(0, 1, 'write', undefined, put('x')), ok(2, 4, 'write', undefined, put('y')), ok(4, 5, 'read', 'x')],
  ],
  [
    'two reads that saw two writes in different orders',
    'register',
    'linearizable',
    [ok(0, 9, 'write', undefined, put('x')), ok(0, 9, 'write', undefined, put('y')), ...[ok(10, 11, 'read', 'x'), ok(12, 13, 'read', 'y')]],
    [ok(0, 9, 'write', undefined, put('x')), ok(0, 9, 'write', undefined, put('y')), ok(8, 9, 'read', 'x'), ok(12, 13, 'read', 'y')],
  ],
  [
    'two compare-and-sets that both won',
    'register',
    'linearizable',
    [ok(0, 3, 'cas', true, cas(null, 'x')), ok(0, 3, 'cas', true, cas(null, 'y'))],
    [ok(0, 3, 'cas', true, cas(null, 'x')), ok(0, 3, 'cas', false, cas(null, 'y'))],
  ],
  [
    'a compare-and-set that lost for no reason',
    'register',
    'linearizable',
    [ok(0, 1, 'cas', false, cas(null, 'x')), unknown(2, 3, 'write', put('y'))],
    [ok(0, 3, 'cas', false, cas(null, 'x')), unknown(2, 3, 'write', put('y'))],
  ],
  [
    'a write in doubt that took effect twice',
    'register',
    'linearizable',
    [unknown(0, 1, 'write', put('x')), ok(2, 3, 'read', 'x'), ok(4, 5, 'write', undefined, put('y')), ok(6, 7, 'read', 'x')],
    [unknown(0, 1, 'write', put('x')), ok(2, 3, 'read', null), ok(4, 5, 'write', undefined, put('y')), ok(6, 7, 'read', 'x')],
  ],
  [
    'a refused write that was read',
    'register',
    'honest outcome',
    [refused(0, 1, 'write', put('x')), ok(2, 3, 'read', 'x')],
    [unknown(0, 1, 'write', put('x')), ok(2, 3, 'read', 'x')],
  ],
  [
    'a list that is no longer a part of the later one',
    'list',
    'linearizable',
    [ok(0, 1, 'append', 1, put('x')), ok(0, 1, 'append', 2, put('y')), ok(2, 3, 'read', ['x', 'y']), ok(2, 3, 'read', ['y'])],
    [ok(0, 1, 'append', 1, put('x')), ok(0, 1, 'append', 2, put('y')), ok(2, 3, 'read', ['x', 'y']), ok(0, 3, 'read', ['x'])],
  ],
  [
    'a value that nobody appended',
    'list',
    'linearizable',
    [ok(0, 1, 'read', ['x'])],
    [unknown(0, 1, 'append', put('x')), ok(0, 1, 'read', ['x'])],
  ],
  [
    'a value that stands twice',
    'list',
    'nothing doubled',
    [unknown(0, 1, 'append', put('x')), ok(2, 3, 'read', ['x', 'x'])],
    [unknown(0, 1, 'append', put('x')), ok(2, 3, 'read', ['x'])],
  ],
  [
    'a value that stands elsewhere than was told',
    'list',
    'linearizable',
    [ok(0, 9, 'append', 1, put('x')), ok(0, 9, 'append', 2, put('y')), ok(0, 9, 'read', ['y', 'x'])],
    [ok(0, 9, 'append', 1, put('x')), ok(0, 9, 'append', 2, put('y')), ok(0, 9, 'read', ['x', 'y'])],
  ],
  [
    'a refused value that was seen',
    'list',
    'honest outcome',
    [refused(0, 1, 'append', put('x')), ok(2, 3, 'read', ['x'])],
    [refused(0, 1, 'append', put('x')), ok(2, 3, 'read', [])],
  ],
  [
    'an acknowledged value that was overwritten',
    'list',
    'linearizable',
    [ok(0, 1, 'append', 1, put('x')), ok(2, 3, 'append', 1, put('y'))],
    [ok(0, 1, 'append', 1, put('x')), ok(2, 3, 'append', 2, put('y'))],
  ],
  [
    'an acknowledged value that is missing',
    'list',
    'linearizable',
    [ok(0, 1, 'append', undefined, put('x')), ok(2, 3, 'read', [])],
    [ok(0, 1, 'append', undefined, put('x')), ok(1, 3, 'read', [])],
  ],
  [
    'two lists of one version',
    'list',
    'linearizable',
    [unknown(0, 1, 'append', put('x')), ok(2, 3, 'read', { version: 1, hash: 'p' }), ok(2, 3, 'read', { version: 1, hash: 'q' })],
    [unknown(0, 1, 'append', put('x')), ok(2, 3, 'read', { version: 1, hash: 'p' }), ok(2, 3, 'read', { version: 1, hash: 'p' })],
  ],
  [
    'a request with two results',
    'counter',
    'nothing doubled',
    [ok(0, 1, 'add', 1, { rid: 'r' }), ok(2, 3, 'add', 2, { rid: 'r' })],
    [ok(0, 1, 'add', 1, { rid: 'r' }), ok(2, 3, 'add', 1, { rid: 'r' })],
  ],
  [
    'a repeat that was executed again',
    'counter',
    'linearizable',
    [unknown(0, 1, 'add', { rid: 'r' }), ok(2, 3, 'add', 2, { rid: 'r' })],
    [unknown(0, 1, 'add', { rid: 'r' }), ok(2, 3, 'add', 1, { rid: 'r' })],
  ],
  [
    'a request that was executed before its first attempt could have been',
    'counter',
    'linearizable',
    [refused(0, 1, 'add', { rid: 'r' }), ok(4, 5, 'add', 1, { rid: 'r' }), ok(2, 3, 'read', 1, byOther)],
    [unknown(0, 1, 'add', { rid: 'r' }), ok(4, 5, 'add', 1, { rid: 'r' }), ok(2, 3, 'read', 1, byOther)],
  ],
  [
    'calls of one client that overtook each other',
    'counter',
    'order of a client',
    [ok(0, 9, 'add', 2, { seq: 1 }), ok(1, 9, 'add', 1, { seq: 2 })],
    [ok(0, 9, 'add', 2, { seq: 1 }), ok(1, 9, 'add', 1, { seq: 2, ...byOther })],
  ],
  [
    'a read that overtook a call of its client',
    'register',
    'order of a client',
    [ok(0, 9, 'write', undefined, put('x', { seq: 1 })), ok(1, 9, 'read', null, { seq: 2 })],
    [ok(0, 9, 'write', undefined, put('x', { seq: 2 })), ok(1, 9, 'read', null, { seq: 1 })],
  ],
  [
    'two incarnations under one epoch',
    'counter',
    'one incarnation',
    [ok(0, 1, 'add', 1, { epoch: 4, by: 'n1' }), ok(2, 3, 'read', 1, { epoch: 4, by: 'n2' })],
    [ok(0, 1, 'add', 1, { epoch: 4, by: 'n1' }), ok(2, 3, 'read', 1, { epoch: 5, by: 'n2' })],
  ],
  [
    'two epochs that acted at the same time, on different keys of a shard',
    'counter',
    'epochs rise',
    [ok(0, 1, 'add', 1, { epoch: 5 }), ok(2, 3, 'add', 1, { epoch: 4, key: 'l' })],
    [ok(0, 2, 'add', 1, { epoch: 5 }), ok(2, 3, 'add', 1, { epoch: 4, key: 'l' })],
  ],
  [
    'a state that died',
    'counter',
    'state kept',
    [ok(0, 1, 'add', 1, { life: 'x' }), ok(2, 3, 'add', 1, { life: 'y' })],
    [ok(0, 1, 'add', 1, { life: 'x' }), ok(2, 3, 'add', 2, { life: 'x' })],
  ],
];

test.each(cases)('%s, in a %s: %s', (_, model, rule, bad, good) => {
  const shardOf = (): number => 7;
  const verdict = check(model, bad, { shardOf });
  expect([verdict.decision, rulesOf(verdict)], verdictText(verdict)).toEqual(['rejected', [rule]]);
  const neighbour = check(model, good, { shardOf });
  expect(neighbour.decision, verdictText(neighbour)).toBe('accepted');
});
