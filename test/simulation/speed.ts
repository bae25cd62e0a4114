import { availableParallelism, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { runBareLoop } from './support/bare-loop.ts';
import { kindsOf, memoryFaults, runWorld, type WorldRun } from './support/worlds.ts';

const help = `Measures how many minutes are simulated in one minute of CPU (of all threads of this process, whoever else uses the machine).

  npm run sim:speed

  --rounds N         rounds, each with the next seed (default 5); one more comes first and is not counted
  --world-minutes N  simulated minutes of each world (default 5)
  --seed S           seed of the first round (default 1000)

Each round simulates one world of each kind with the standard workload, and a bare loop: as many processes, timers and deferred callbacks as the
world without faults, with nothing in them but one promise.`;

interface Kind {
  readonly what: string;
  readonly faultsOf: (seed: number) => NonNullable<WorldRun['faults']>;
}

const kinds: readonly Kind[] = [
  { what: 'no faults', faultsOf: () => [] },
  { what: 'all faults but those of the store of durable actors and records that are set back', faultsOf: () => memoryFaults },
  { what: 'the faults that each seed draws', faultsOf: kindsOf },
];

/** Of one kind of world, or of the bare loop, in all rounds. */
class Measured {
  readonly what: string;
  readonly rates: number[] = [];
  steps = 0;
  calls = 0;
  minutes = 0;

  constructor(what: string) {
    this.what = what;
  }

  add(minutes: number, cpuMs: number, steps: number, calls: number): void {
    this.rates.push((minutes * 60_000) / cpuMs);
    this.minutes += minutes;
    this.steps += steps;
    this.calls += calls;
  }

  row(): string {
    const sorted = this.rates.toSorted((a, b) => a - b);
    const at = (share: number): string => (sorted[Math.floor(share * (sorted.length - 1))] ?? 0).toFixed(0);
    const perMinute = (count: number): string => (count / this.minutes).toFixed(0);
    return `| ${this.what} | ${perMinute(this.calls)} | ${perMinute(this.steps)} | ${at(0)} | ${at(0.5)} | ${at(1)} |`;
  }
}

/** What `run` gives, and the CPU time of all threads meanwhile. */
async function cpuOf<T>(run: () => Promise<T>): Promise<{ readonly result: T; readonly cpuMs: number }> {
  const before = process.cpuUsage();
  const result = await run();
  const { user, system } = process.cpuUsage(before);
  return { result, cpuMs: (user + system) / 1_000 };
}

async function measure(rounds: number, minutes: number, firstSeed: number): Promise<readonly Measured[]> {
  const bare = new Measured('bare loop');
  const worlds = kinds.map(({ what }) => new Measured(what));
  for (let round = 0; round <= rounds; round += 1) {
    const seed = firstSeed + round;
    let bareSteps = 0;
    for (const [index, { faultsOf }] of kinds.entries()) {
      const { result, cpuMs } = await cpuOf(() => runWorld({ seed, minutes, faults: faultsOf(seed) }));
      const { steps } = result.report;
      const { ok, refused, unknown } = result.figures;
      if (index === 0) bareSteps = steps;
      if (round > 0) worlds[index]?.add(minutes, cpuMs, steps, ok + refused + unknown);
    }
    const { cpuMs } = await cpuOf(() => runBareLoop({ processes: 21, steps: bareSteps, minutes }));
    if (round > 0) bare.add(minutes, cpuMs, bareSteps, 0);
  }
  return [bare, ...worlds];
}

const text = { type: 'string' } as const;
const { values } = parseArgs({ options: { rounds: text, 'world-minutes': text, seed: text, help: { type: 'boolean' } } });
if (values.help === true) console.log(help);
else {
  console.log(`5 nodes, 16 clients; Node ${process.version}, ${availableParallelism()} cores, load ${loadavg()[0]?.toFixed(1)}`);
  const measured = await measure(Number(values.rounds ?? 5), Number(values['world-minutes'] ?? 5), Number(values.seed ?? 1_000));
  console.log(
    '| | calls per simulated minute | steps per simulated minute | simulated minutes per minute of CPU: lowest | median | highest |',
  );
  console.log('| --- | --- | --- | --- | --- | --- |');
  for (const one of measured) console.log(one.row());
}
