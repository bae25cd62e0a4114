import { describeFault, type Fault } from './fault.ts';
import type { TraceEntry } from './trace.ts';

export interface SimulationFailureParts {
  readonly seed: number;
  /** What did not hold. */
  readonly error: Error;
  /** The fewest faults found that fail. */
  readonly faults: readonly Fault[];
  /** How many faults the seed had drawn. */
  readonly drawn: number;
  /** What happened, the latest last. */
  readonly entries: readonly TraceEntry[];
}

const linesMax = 150;

/** Something that is promised did not hold in a simulated world. The message says everything that is needed to see it again. */
export class SimulationFailure extends Error {
  readonly seed: number;
  readonly faults: readonly Fault[];
  readonly entries: readonly TraceEntry[];

  constructor({ seed, error, faults, drawn, entries }: SimulationFailureParts) {
    super(
      [
        `seed ${seed}: ${error.message}`,
        `with ${faults.length} of ${drawn} faults:`,
        ...faults.map((fault) => `  ${describeFault(fault)}`),
        `as faults: ${JSON.stringify(faults)}`,
        'what happened before:',
        ...entries.slice(-linesMax).map(describeEntry),
      ].join('\n'),
      { cause: error },
    );
    this.name = 'SimulationFailure';
    this.seed = seed;
    this.faults = faults;
    this.entries = entries;
  }
}

export function describeEntry({ atMs, who, what }: TraceEntry): string {
  return `${atMs.toFixed(3).padStart(12)} ${who}: ${what}`;
}
