import { type Fault, type FaultKind, faultKinds } from '@perkey/core/testing';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { findPlant } from './support/planted-copy.ts';
import { plants } from './support/plants.ts';
import { RealityTrap } from './support/reality-trap.ts';
import { kindsOf, runWorld } from './support/worlds.ts';

const run = promisify(execFile);
const program = join(import.meta.dirname, 'support/world-program.ts');

test('what is promised holds in simulated worlds, under every kind of fault', { timeout: 120_000 }, async () => {
  const suffered = new Set<FaultKind>();
  const total = { ok: 0, unknown: 0, deaths: 0, moves: 0, ends: 0 };
  for (let seed = 1; seed <= 14; seed += 1) {
    const { report, figures } = await runWorld({ seed, minutes: 1 });
    for (const kind of kindsOf(seed)) suffered.add(kind);
    total.ok += figures.ok;
    total.unknown += figures.unknown;
    total.deaths += figures.deaths;
    total.moves += report.moves;
    total.ends += report.ends;
  }
  // The faults bit, and the callers were answered all the same.
  expect([...suffered].sort()).toEqual([...faultKinds].sort());
  expect(total.ok).toBeGreaterThan(5_000);
  expect(total.unknown).toBeGreaterThan(100);
  expect(total.deaths).toBeGreaterThan(50);
  expect(total.moves).toBeGreaterThan(500);
  expect(total.ends).toBeGreaterThan(50);
});

const once: { readonly what: string; readonly seed: number; readonly minutes: number; readonly faults: readonly Fault[] }[] = [
  {
    what: 'an incarnation from before the members were set back is later than the one that came after it, whose wall clock had not jumped',
    ...{ seed: 10, minutes: 2 },
    faults: [
      { atMs: 13.875, kind: 'late-proof', forMs: 5_228, target: 'node-0', amount: 883 },
      { atMs: 3_594.625, kind: 'wall-jump', forMs: 1, target: 'node-0', amount: 2_894_695 },
      { atMs: 63_139.25, kind: 'crash', forMs: 62, target: 'node-0' },
      { atMs: 67_976.5, kind: 'rollback', forMs: 1, amount: 13_270, variant: 'both' },
    ],
  },
  {
    what: 'a shard is given back to a former owner by records that were set back, and the one who owned it has ended',
    ...{ seed: 225, minutes: 1 },
    faults: [
      { atMs: 1_053.5, kind: 'late-proof', forMs: 4_448, target: 'node-2', amount: 827 },
      { atMs: 4_368.5, kind: 'rollback', forMs: 1, amount: 16_621, variant: 'shards' },
    ],
  },
  {
    what: 'a release from before the records were set back is stored upon a revision that they have given once more',
    ...{ seed: 900_508, minutes: 4 },
    faults: [
      { atMs: 120_705.5, kind: 'pause', forMs: 7_624, target: 'node-0' },
      { atMs: 123_298.75, kind: 'late-proof', forMs: 5_078, target: 'node-3', amount: 578 },
      { atMs: 123_746.125, kind: 'suspend', forMs: 333, target: 'node-4' },
      { atMs: 127_869.375, kind: 'crash', forMs: 8_781, target: 'node-2' },
      { atMs: 144_416.75, kind: 'cut', forMs: 58, target: 'client-4', variant: 'noticed' },
      { atMs: 180_723.125, kind: 'drain', forMs: 113, target: 'node-2' },
      { atMs: 181_579.875, kind: 'pause', forMs: 126, target: 'client-5' },
      { atMs: 181_853.625, kind: 'slow-store', forMs: 5_925, target: 'node-1', amount: 1_437 },
      { atMs: 192_097, kind: 'sever', forMs: 7_664, target: 'node-4', other: 'node-0', variant: 'out' },
      { atMs: 197_627.25, kind: 'cut', forMs: 6_859, target: 'node-3', link: 'control', variant: 'noticed' },
      { atMs: 199_672.25, kind: 'wall-jump', forMs: 1, target: 'node-2', amount: -628_659 },
      { atMs: 201_102.125, kind: 'slow-store', forMs: 4_426, target: 'node-0', amount: 1_969 },
      { atMs: 204_927, kind: 'rollback', forMs: 1, amount: 15_513, variant: 'shards' },
    ],
  },
];

test.each(once)('a world that failed once holds: $what', { timeout: 60_000 }, async ({ seed, minutes, faults }) => {
  await runWorld({ seed, minutes, faults, shrinkRunsMax: 0 });
});

test('no real time, no real chance and no I/O play a part', async () => {
  const trap = new RealityTrap();
  try {
    await runWorld({ seed: 7, minutes: 0.5, shrinkRunsMax: 0 });
  } finally {
    trap.open();
  }
  expect(trap.caught).toEqual([]);
});

test('the trap catches what it is there for', () => {
  const trap = new RealityTrap();
  try {
    const attempts = [
      () => Date.now(),
      () => new Date(),
      () => performance.now(),
      () => Math.random(),
      () => setTimeout(() => {}, 0),
      () => crypto.randomUUID(),
    ];
    for (const attempt of attempts) expect(attempt).toThrow('was used inside a simulated world');
    expect(new Date(0).getTime()).toBe(0);
  } finally {
    trap.open();
  }
  expect(trap.caught).toHaveLength(6);
  expect(Date.now()).toBeGreaterThan(0);
  expect(new Date().getTime()).toBeGreaterThan(0);
});

test('the same seed gives the same trace in two processes, and another one another', { timeout: 60_000 }, async () => {
  const hashOf = async (seed: number): Promise<string> =>
    (await run(process.execPath, ['--conditions=@perkey/source', program, String(seed), '0.5'])).stdout.trim();
  const [one, again, other] = await Promise.all([hashOf(3), hashOf(3), hashOf(4)]);
  expect(one).toMatch(/^[0-9a-f]{16}$/);
  expect(again).toBe(one);
  expect(other).not.toBe(one);
});

test.each(plants)('the code is as the fault "$name" expects it', ({ edits }) => {
  for (const { file, from } of edits) {
    const text = readFileSync(join(import.meta.dirname, '../../packages/core/src', file), 'utf8');
    expect(text.split(from)).toHaveLength(2);
  }
});

test.each(['two-activations', 'take-over-without-waiting', 'release-before-turn-ended', 'decision-on-a-read'])(
  'a fault that is planted into a copy of the code is found: %s',
  { timeout: 120_000 },
  async (name) => {
    const plant = plants.find((one) => one.name === name);
    expect(plant).toBeDefined();
    const found = await findPlant(plant!, { firstSeed: 1, minutesMax: 20, worldMinutes: 1, shrinkRunsMax: 0 });
    expect(found).toBeDefined();
  },
);
