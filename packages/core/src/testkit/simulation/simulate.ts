import { type Fault, type FaultKind } from './fault.ts';
import { drawSchedule } from './schedule.ts';
import { shrinkSchedule } from './shrink.ts';
import { SimulationFailure } from './simulation-failure.ts';
import { type SimulatedSettings, type SimulationActors, Surroundings } from './surroundings.ts';
import type { TraceEntry } from './trace.ts';
import { SimulationWorld } from './world.ts';

export interface SimulationOptions {
  /** The same seed, with the same options, gives the same run to the byte. */
  readonly seed: number;
  /** The types that nodes host; a function where they need something of their node, such as its clock. */
  readonly actors: SimulationActors;
  /** Default 5. */
  readonly nodes?: number;
  /** Default 16. */
  readonly clients?: number;
  /** Virtual time. Faults strike for two thirds of each minute, then everything has to come to rest. Default 1. */
  readonly minutes?: number;
  /** What may happen, when and to whom being drawn from the seed; or exactly what happens. Default: nothing. */
  readonly faults?: readonly FaultKind[] | readonly Fault[];
  /** Mean time between two faults. Default 1,500. */
  readonly faultEveryMs?: number;
  /** Default 16. */
  readonly shards?: number;
  /** For every node; what is left out has its usual default. */
  readonly settings?: SimulatedSettings;
  /** How many runs may be spent on a schedule with fewer faults that fails too. Default 60; 0: none. */
  readonly shrinkRunsMax?: number;
  /** Told of what happens, as it happens. Not while a schedule is cut down. */
  readonly onTrace?: (entry: TraceEntry) => void;
}

export interface SimulationReport {
  readonly seed: number;
  /** Equal in any two runs of the same seed and options. */
  readonly traceHash: string;
  readonly minutes: number;
  /** How many timers and deferred callbacks ran. */
  readonly steps: number;
  readonly faults: number;
  /** Incarnations that ended, for whatever reason. */
  readonly ends: number;
  /** How often a shard got an owner, and how often without the state of the one before. */
  readonly moves: number;
  readonly losses: number;
}

/** What goes on in a simulated world. Runs once for each run: it must hold on to nothing outside. */
export type SimulationBody = (world: SimulationWorld) => void | Promise<void>;

/**
 * Runs a whole cluster in this process on virtual time, with every fault that the seed draws. Rejects with `SimulationFailure` when anything
 * that is promised did not hold: it names the seed, the fewest faults found that still fail, and what happened.
 */
export async function simulate(options: SimulationOptions, body: SimulationBody): Promise<SimulationReport> {
  const schedule = scheduleOf(options);
  const outcome = await runOnce(options, schedule, body, options.onTrace);
  if ('report' in outcome) return outcome.report;
  const runsMax = options.shrinkRunsMax ?? 60;
  const fails = async (fewer: readonly Fault[]): Promise<boolean> => 'error' in (await runOnce(options, fewer, body));
  const fewest = runsMax > 0 ? await shrinkSchedule(schedule, outcome.failedAtMs, fails, runsMax) : schedule;
  const last = fewest === schedule ? outcome : await runOnce(options, fewest, body);
  const { error, entries } = 'error' in last ? last : outcome;
  throw new SimulationFailure({ seed: options.seed, error, faults: fewest, drawn: schedule.length, entries });
}

function scheduleOf(options: SimulationOptions): readonly Fault[] {
  const { seed, nodes = 5, clients = 16, minutes = 1, faults = [], faultEveryMs = 1_500, shards = 16 } = options;
  if (!isKinds(faults)) return faults;
  if (faults.length === 0) return [];
  const around = { seed, shards, actors: [], settings: {}, clocksDiffer: false, told: undefined };
  return drawSchedule({
    random: new Surroundings(around).randomFor('schedule'),
    kinds: faults,
    nodes: Array.from({ length: nodes }, (_, number) => `node-${number}`),
    clients: Array.from({ length: clients }, (_, number) => `client-${number}`),
    minutes,
    everyMs: faultEveryMs,
  });
}

function isKinds(faults: readonly FaultKind[] | readonly Fault[]): faults is readonly FaultKind[] {
  return typeof faults[0] !== 'object';
}

type Outcome =
  { readonly report: SimulationReport } | { readonly error: Error; readonly entries: readonly TraceEntry[]; readonly failedAtMs: number };

async function runOnce(
  options: SimulationOptions,
  schedule: readonly Fault[],
  body: SimulationBody,
  told?: (entry: TraceEntry) => void,
): Promise<Outcome> {
  const { seed, nodes = 5, clients = 16, minutes = 1, shards = 16, settings = {}, actors, faults = [] } = options;
  const clocksDiffer = faults.length > 0;
  const world = new SimulationWorld({ seed, nodes, clients, minutes, shards, settings, actors, clocksDiffer, told });
  const { around, oracle } = world;
  try {
    await world.run(schedule, body);
    const { evictions: ends, moves, losses } = oracle;
    const { trace, wires } = around;
    return { report: { seed, traceHash: trace.hash, minutes, steps: wires.steps, faults: schedule.length, ends, moves, losses } };
  } catch (thrown) {
    const error = around.failure ?? (thrown instanceof Error ? thrown : new Error(String(thrown)));
    return { error, entries: around.trace.entries, failedAtMs: world.nowMs };
  } finally {
    world.stop();
  }
}
