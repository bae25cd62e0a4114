import type { Fault } from './fault.ts';

/**
 * Delta debugging (Zeller and Hildebrandt, ddmin) on a schedule that fails: leaves out ever smaller parts of it as long as the rest fails too,
 * at most `runsMax` times. What comes after the failure is left out first.
 */
export async function shrinkSchedule(
  schedule: readonly Fault[],
  failedAtMs: number,
  fails: (fewer: readonly Fault[]) => Promise<boolean>,
  runsMax: number,
): Promise<readonly Fault[]> {
  let left = runsMax;
  const tryOut = async (fewer: readonly Fault[]): Promise<boolean> => {
    left -= 1;
    return fails(fewer);
  };
  let fewest = schedule;
  const before = schedule.filter(({ atMs }) => atMs <= failedAtMs);
  if (before.length < schedule.length && (await tryOut(before))) fewest = before;
  let parts = 2;
  for (;;) {
    const size = Math.ceil(fewest.length / parts);
    if (fewest.length === 0 || left <= 0) return fewest;
    const found = await withoutOnePart(fewest, size, tryOut, () => left > 0);
    if (found) {
      fewest = found;
      parts = Math.max(2, parts - 1);
    } else if (size <= 1) return fewest;
    else parts = Math.min(fewest.length, parts * 2);
  }
}

async function withoutOnePart(
  faults: readonly Fault[],
  size: number,
  fails: (fewer: readonly Fault[]) => Promise<boolean>,
  mayGoOn: () => boolean,
): Promise<readonly Fault[] | undefined> {
  for (let from = 0; from < faults.length && mayGoOn(); from += size) {
    const rest = [...faults.slice(0, from), ...faults.slice(from + size)];
    if (await fails(rest)) return rest;
  }
  return undefined;
}
