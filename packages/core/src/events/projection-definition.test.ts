import { expect, test } from 'vitest';
import { defineProjection, type ProjectionDefinition } from './projection.ts';

test('a definition that cannot be is refused by its option', () => {
  const handle = (): void => {};
  const refused = (definition: object): string => {
    try {
      defineProjection(definition as ProjectionDefinition);
    } catch (thrown) {
      return (thrown as Error).message;
    }
    return '';
  };
  expect(refused({ name: 'a b', handle })).toContain('option name');
  expect(refused({ name: 'p', handle, batchMax: 0 })).toContain('batchMax of projection p is 0');
  expect(refused({ name: 'p', handle, onError: 'again' })).toContain('onError');
  expect(refused({ name: 'p', handle, onError: { attemptsMax: 1, delayMs: 1, delayMaxMs: 1, afterwards: 'go' } })).toContain(
    'onError.afterwards',
  );
  expect(refused({ name: 'p' })).toContain('handle');
  expect(refused({ name: 'p', handle, bacthMax: 1 })).toContain('bacthMax');
});
