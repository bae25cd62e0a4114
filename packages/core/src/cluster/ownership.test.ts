import { expect, test } from 'vitest';
import { OwnershipWorld } from '../testkit/ownership/ownership-world.ts';

const seedsPerTest = 250;

/** Faults of every kind from a seed; see the world for what is judged. */
test.each([0, 1, 2, 3])(
  'whatever happens: one owner, no state lost on planned moves, all served in the end (seeds from %d * 250)',
  async (block) => {
    let [moves, evictions] = [0, 0];
    for (let seed = block * seedsPerTest; seed < (block + 1) * seedsPerTest; seed += 1) {
      const world = new OwnershipWorld({ seed });
      await world.run().catch((error: unknown) => {
        throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
      });
      moves += world.checks.carriedMoves;
      evictions += world.checks.evictions;
    }
    expect(moves).toBeGreaterThan(3 * seedsPerTest);
    expect(evictions).toBeGreaterThan(seedsPerTest / 2);
  },
);
