import { seededRandom } from '@perkey/core';
import {
  type Fault,
  type FaultKind,
  faultKinds,
  simulate,
  type SimulationOptions,
  type SimulationReport,
  standardWorkload,
  type WorkloadFigures,
} from '@perkey/core/testing';

export interface WorldRun {
  readonly seed: number;
  readonly minutes: number;
  readonly nodes?: number | undefined;
  readonly clients?: number | undefined;
  /** Default: those that `kindsOf` draws. */
  readonly faults?: readonly FaultKind[] | readonly Fault[] | undefined;
  readonly everyMs?: number | undefined;
  readonly shrinkRunsMax?: number | undefined;
  readonly onTrace?: SimulationOptions['onTrace'];
}

export interface WorldResult {
  readonly report: SimulationReport;
  readonly figures: WorkloadFigures;
}

const isOfStore = (kind: FaultKind): boolean => kind.includes('log') || kind.includes('append');

/** What the store of durable actors suffers, and what makes others read it. */
const storeFaults: readonly FaultKind[] = faultKinds.filter((kind) => isOfStore(kind) || kind === 'crash' || kind === 'wall-jump');

/** What a cluster suffers whose store does not and whose records are not set back. */
export const memoryFaults: readonly FaultKind[] = faultKinds.filter((kind) => !isOfStore(kind) && kind !== 'rollback');

/** Less than the longest that a node is without its store: in some worlds nobody learns in time what became of a commit. */
const commitSettleMs = 2_000;

/**
 * A world suffers some kinds of faults and not others, a different choice for each seed: what a rare fault does is found where others do not
 * drown it. Records that are set back are one world in eight: for a time nothing can be said of it. One world in three suffers only what concerns
 * the store of durable actors.
 */
export function kindsOf(seed: number): readonly FaultKind[] {
  if (seed % 3 === 0) return storeFaults;
  const random = seededRandom(seed);
  const chance = (): number => random.next();
  const share = 0.2 + chance() * 0.7;
  const kinds = faultKinds.filter((kind) => chance() < (kind === 'rollback' ? 0.125 : share));
  return kinds.length > 0 ? kinds : ['crash'];
}

/** The standard workload under the faults of a seed. */
export async function runWorld(run: WorldRun): Promise<WorldResult> {
  const { seed, minutes, nodes, clients, faults = kindsOf(seed), everyMs, shrinkRunsMax, onTrace } = run;
  let figures: WorkloadFigures = { ok: 0, refused: 0, unknown: 0, executions: 0, stored: 0, deaths: 0 };
  const workload = standardWorkload({
    ...(everyMs !== undefined && { everyMs }),
    onFigures: (told) => {
      figures = told;
    },
  });
  const report = await simulate(
    {
      ...{ seed, minutes, faults, actors: workload.actors, settings: { commitSettleMs } },
      ...(nodes !== undefined && { nodes }),
      ...(clients !== undefined && { clients }),
      ...(shrinkRunsMax !== undefined && { shrinkRunsMax }),
      ...(onTrace && { onTrace }),
    },
    workload.body,
  );
  return { report, figures };
}
