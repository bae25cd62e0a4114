import { type FaultKind, SimulationFailure } from '@perkey/core/testing';
import { runWorld } from './worlds.ts';

/** What was found, as one line on stdout. */
export interface Found {
  readonly seed: number;
  /** The simulated minutes of the worlds that were run, the failing one in full. */
  readonly minutes: number;
  readonly ms: number;
  readonly faults: number;
  readonly what: string;
}

const [from = '1', minutesMax = '60', worldMinutes = '1', shrinks = '20', kinds = ''] = process.argv.slice(2);
const startedAt = performance.now();
const each = Number(worldMinutes);
const sought = kinds === '' ? {} : { faults: kinds.split(',') as FaultKind[], everyMs: 2_500 };
let found: Found | undefined;
for (let seed = Number(from), minutes = each; found === undefined && minutes <= Number(minutesMax); seed += 1, minutes += each) {
  let foundAt = performance.now();
  try {
    await runWorld({ ...sought, seed, minutes: each, shrinkRunsMax: 0 });
  } catch (error) {
    foundAt = performance.now();
    if (!(error instanceof SimulationFailure)) throw error;
    let fewest = error.faults.length;
    try {
      await runWorld({ ...sought, seed, minutes: each, faults: error.faults, shrinkRunsMax: Number(shrinks) });
    } catch (again) {
      if (again instanceof SimulationFailure) fewest = again.faults.length;
    }
    const what = error.message.split('\n')[0] ?? '';
    found = { seed, minutes, ms: Math.round(foundAt - startedAt), faults: fewest, what: what.slice(0, 200) };
  }
}
console.log(JSON.stringify(found ?? null));
