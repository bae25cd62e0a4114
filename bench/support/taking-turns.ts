import { percentile, round } from './numbers.ts';

/** How long each of `runs` took, in ms. They take turns, so that a slow moment of the machine meets all of them; the first turn does not count. */
export async function takingTurns<Name extends string>(
  times: number,
  runs: Readonly<Record<Name, () => Promise<number>>>,
): Promise<Readonly<Record<Name, { readonly p50_ms: number; readonly p99_ms: number }>>> {
  const names = Object.keys(runs) as Name[];
  const samples = new Map(names.map((name) => [name, new Float64Array(times)]));
  for (const name of names) await runs[name]();
  for (let i = 0; i < times; i += 1) {
    for (const name of names) (samples.get(name) as Float64Array)[i] = await runs[name]();
  }
  const entries = names.map((name) => {
    const sorted = (samples.get(name) as Float64Array).sort();
    return [name, { p50_ms: round(percentile(sorted, 50), 3), p99_ms: round(percentile(sorted, 99), 3) }];
  });
  return Object.fromEntries(entries) as Readonly<Record<Name, { readonly p50_ms: number; readonly p99_ms: number }>>;
}
