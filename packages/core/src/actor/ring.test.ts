import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Ring, RingPool } from './ring.ts';

test('a ring keeps the order of an array, whatever is pushed, shifted and removed', () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('push' as const), value: fc.integer({ min: 0, max: 9 }) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('shift' as const), value: fc.constant(0) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove' as const), value: fc.integer({ min: 0, max: 9 }) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const ring = new Ring<number>();
      let model: number[] = [];
      for (const { kind, value } of steps) {
        if (kind === 'push') {
          ring.push(value);
          model.push(value);
        } else if (kind === 'shift') expect(ring.shift()).toBe(model.shift());
        else {
          ring.remove((item) => item === value);
          model = model.filter((item) => item !== value);
        }
        expect(ring.length).toBe(model.length);
      }
      while (model.length > 0) expect(ring.shift()).toBe(model.shift());
      expect(ring.shift()).toBeUndefined();
    }),
  );
});

test('a pool gives back small rings and lets go of large ones', () => {
  const pool = new RingPool<number>();
  const small = pool.take();
  pool.give(small);
  expect(pool.take()).toBe(small);
  const large = new Ring<number>();
  for (let i = 0; i < 100; i += 1) large.push(i);
  while (large.shift() !== undefined);
  pool.give(large);
  expect(pool.take()).not.toBe(large);
});
