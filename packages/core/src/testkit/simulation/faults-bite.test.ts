import { isDeepStrictEqual } from 'node:util';
import { expect, test } from 'vitest';
import { type Fault, type FaultKind, faultKinds } from './fault.ts';
import { simulate } from './simulate.ts';
import { standardWorkload, type WorkloadFigures } from './workload/standard-workload.ts';

const target = 'node-1';

/** One fault of each kind, as it may be drawn. */
const faults: Readonly<Record<FaultKind, Omit<Fault, 'atMs' | 'kind'>>> = {
  crash: { target, forMs: 4_000 },
  drain: { target, forMs: 4_000 },
  pause: { target, forMs: 4_000 },
  suspend: { target, forMs: 4_000 },
  cut: { target, forMs: 4_000, variant: 'unnoticed' },
  'cut-in': { target, forMs: 4_000, variant: 'unnoticed' },
  'cut-out': { target, forMs: 4_000, variant: 'unnoticed' },
  sever: { target, other: 'node-2', forMs: 4_000, variant: 'both' },
  delay: { target, forMs: 4_000, amount: 300, variant: 'both' },
  'lose-link': { target, forMs: 200 },
  'late-flush': { target, forMs: 4_000 },
  'slow-store': { target, forMs: 4_000, amount: 2_600 },
  'late-proof': { target, forMs: 5_000, amount: 600 },
  'doubtful-writes': { target, forMs: 1, amount: 4, variant: 'applied-unavailable' },
  'stale-reads': { target, forMs: 4_000 },
  'late-watch': { target, forMs: 4_000, amount: 2_000 },
  'no-leader': { forMs: 4_000 },
  rollback: { forMs: 1, amount: 3_000, variant: 'both' },
  storm: { forMs: 5_000 },
  // Far more than is drawn: two worlds are told apart by how much happens in them.
  'clock-rate': { target, forMs: 8_000, amount: 1.5 },
  'wall-jump': { target, forMs: 1, amount: 3_600_000 },
  'slow-log': { target, forMs: 4_000, amount: 300 },
  'doubtful-appends': { target, forMs: 4_000, amount: 4, variant: 'lost' },
  'late-append': { target, forMs: 8_000 },
  'no-log': { target, forMs: 4_000 },
  'full-log': { target, forMs: 4_000 },
  'stale-log': { target, forMs: 9_000 },
};

/** What others suffer meanwhile, where a fault alone concerns nobody. */
const meanwhile: Partial<Record<FaultKind, Fault>> = {
  'stale-reads': { kind: 'crash', target, atMs: 6_000, forMs: 1_000 },
  'stale-log': { kind: 'crash', target: 'node-2', atMs: 8_000, forMs: 6_000 },
};
const atMs = 5_000;
/** What a fault takes to begin and to end. */
const ownSteps = 4;

interface Course {
  readonly steps: number;
  readonly rest: unknown;
}

async function courseOf(...schedule: readonly (Fault | undefined)[]): Promise<Course> {
  let figures: WorkloadFigures | undefined;
  const workload = standardWorkload({ onFigures: (told) => (figures = told) });
  const world = { seed: 11, nodes: 3, clients: 6, minutes: 0.4, shrinkRunsMax: 0, settings: { commitSettleMs: 2_000 } };
  const suffered = schedule.filter((fault) => fault !== undefined);
  const { steps, ends, moves, losses } = await simulate({ ...world, faults: suffered, actors: workload.actors }, workload.body);
  return { steps, rest: { figures, ends, moves, losses } };
}

const differ = (a: Course, b: Course): boolean => Math.abs(a.steps - b.steps) > ownSteps || !isDeepStrictEqual(a.rest, b.rest);

/** Sets a clock by nothing. */
const nothing: Fault = { kind: 'wall-jump', target, forMs: 1, amount: 0, atMs };

test.each(faultKinds)('a fault changes what happens in a world: %s', async (kind) => {
  const without = await courseOf(nothing, meanwhile[kind]);
  expect(differ(without, await courseOf(nothing, meanwhile[kind]))).toBe(false);
  expect(differ(without, await courseOf({ kind, ...faults[kind], atMs }, meanwhile[kind]))).toBe(true);
});
