import { expect, test } from 'vitest';
import { followSupervisor, incarnationIn, reportIncarnation } from './supervised-child.ts';

test('only a message of this form, of this node, tells an incarnation', () => {
  expect(incarnationIn({ perkey: 'incarnation', nodeId: 'n1', incarnation: 'i1' }, 'n1')).toBe('i1');
  for (const message of [
    undefined,
    null,
    'incarnation',
    {},
    { perkey: 'incarnation', nodeId: 'n2', incarnation: 'i1' },
    { perkey: 'incarnation', nodeId: 'n1', incarnation: '' },
    { perkey: 'incarnation', nodeId: 'n1', incarnation: 7 },
    { perkey: 'other', nodeId: 'n1', incarnation: 'i1' },
  ]) {
    expect(incarnationIn(message, 'n1')).toBeUndefined();
  }
});

test('a process without a supervisor says nothing and is not ended', () => {
  const before = process.listenerCount('disconnect');
  reportIncarnation('n1', 'i1');
  followSupervisor();
  expect(process.listenerCount('disconnect')).toBe(before);
});
