import { type Fault, faultKinds, type FaultKind, SimulationFailure } from '@perkey/core/testing';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { kindsOf, runWorld } from './support/worlds.ts';

const help = `Simulates clusters on virtual time, one world after the other, until one fails or the time is over.

  npm run sim -- --minutes 60

  --minutes N        simulated minutes in all (default 60)
  --seed S           seed of the first world; the next ones count up (default: from the clock)
  --world-minutes N  simulated minutes of one world (default 5)
  --nodes N          nodes of a world (default 5)
  --clients N        clients of a world (default 16)
  --every-ms N       mean time between two operations of a client (default 2000)
  --faults LIST      kinds of faults, or exactly the faults of a failure, as it printed them (default: a choice by each seed)
                     kinds: ${faultKinds.join(' ')}
  --no-shrink        do not look for fewer faults that fail too
  --trace            print what happens, as it happens

A failure prints its seed, the fewest faults found and what happened before. The same seed and settings give the same run to the byte.`;

interface Settings {
  readonly minutes: number;
  readonly firstSeed: number;
  readonly worldMinutes: number;
  readonly nodes: number;
  readonly clients: number;
  readonly everyMs: number;
  readonly faults: readonly FaultKind[] | readonly Fault[] | undefined;
  readonly shrinks: boolean;
  readonly traces: boolean;
}

function settingsFrom(args: readonly string[]): Settings | undefined {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...{ minutes: text, seed: text, 'world-minutes': text, nodes: text, clients: text, 'every-ms': text, faults: text },
      ...{ 'no-shrink': flag, trace: flag, help: flag },
    },
  });
  if (values.help === true) return undefined;
  const number = (name: 'minutes' | 'seed' | 'world-minutes' | 'nodes' | 'clients' | 'every-ms', otherwise: number): number => {
    const value = Number(values[name] ?? otherwise);
    if (!(value > 0)) throw new Error(`--${name} takes a number above 0, not "${values[name]}"`);
    return value;
  };
  return {
    minutes: number('minutes', 60),
    firstSeed: number('seed', Math.floor(Date.now() / 1_000)),
    worldMinutes: number('world-minutes', 5),
    nodes: number('nodes', 5),
    clients: number('clients', 16),
    everyMs: number('every-ms', 2_000),
    faults: values.faults === undefined ? undefined : faultsFrom(values.faults),
    shrinks: values['no-shrink'] !== true,
    traces: values.trace === true,
  };
}

function faultsFrom(text: string): readonly FaultKind[] | readonly Fault[] {
  if (text.trim().startsWith('[')) return JSON.parse(text) as Fault[];
  const names = text.split(',').map((name) => name.trim());
  for (const name of names)
    if (!faultKinds.includes(name as FaultKind)) throw new Error(`"${name}" is no kind of fault; there are ${faultKinds.join(' ')}`);
  return names as FaultKind[];
}

async function run(settings: Settings): Promise<boolean> {
  const { minutes, firstSeed, worldMinutes, nodes, clients, everyMs, faults, shrinks, traces } = settings;
  const startedAt = performance.now();
  const cpuAtStart = process.cpuUsage();
  const totals = { minutes: 0, worlds: 0, faults: 0, ok: 0, unknown: 0, moves: 0, ends: 0, deaths: 0 };
  const onTrace = traces
    ? ({ atMs, who, what }: { atMs: number; who: string; what: string }): void => console.log(`${atMs.toFixed(3)} ${who}: ${what}`)
    : undefined;
  console.log(
    `${nodes} nodes, ${clients} clients, worlds of ${worldMinutes} min, from seed ${firstSeed}; ${availableParallelism()} cores, this takes one`,
  );
  let saidAt = startedAt;
  const speed = (): string => {
    const { user, system } = process.cpuUsage(cpuAtStart);
    const perMinute = (ms: number): string => ((totals.minutes * 60_000) / ms).toFixed(0);
    return `${perMinute(performance.now() - startedAt)} simulated minutes per real minute, ${perMinute((user + system) / 1_000)} per minute of CPU`;
  };
  for (let seed = firstSeed; totals.minutes < minutes; seed += 1) {
    const ofWorld = Math.min(worldMinutes, minutes - totals.minutes);
    try {
      const { report, figures } = await runWorld({
        ...{ seed, minutes: ofWorld, nodes, clients, everyMs, faults, onTrace },
        ...(!shrinks && { shrinkRunsMax: 0 }),
      });
      totals.worlds += 1;
      totals.minutes += ofWorld;
      totals.faults += report.faults;
      totals.moves += report.moves;
      totals.ends += report.ends;
      totals.ok += figures.ok;
      totals.unknown += figures.unknown;
      totals.deaths += figures.deaths;
    } catch (error) {
      if (!(error instanceof SimulationFailure)) throw error;
      console.log(error.message);
      const same = `--seed ${seed} --minutes ${ofWorld} --world-minutes ${ofWorld} --nodes ${nodes} --clients ${clients} --every-ms ${everyMs}`;
      console.log(`\nagain: npm run sim -- ${same} --faults '${JSON.stringify(error.faults)}'`);
      console.log(
        `with all faults of the seed: npm run sim -- ${same}${faults === undefined ? '' : ' --faults (as given)'}; its kinds: ${kindsOf(seed).join(' ')}`,
      );
      return false;
    }
    if (performance.now() - saidAt > 5_000 || totals.minutes >= minutes) {
      saidAt = performance.now();
      console.log(
        `${totals.minutes.toFixed(0)} min, ${totals.worlds} worlds, up to seed ${seed}: ${totals.ok} answers, ${totals.unknown} unknown, ${totals.faults} faults, ` +
          `${totals.moves} shards given, ${totals.ends} incarnations ended, ${totals.deaths} states died with them; ${speed()}`,
      );
    }
  }
  return true;
}

const settings = settingsFrom(process.argv.slice(2));
if (settings === undefined) console.log(help);
else if (!(await run(settings))) process.exitCode = 1;
