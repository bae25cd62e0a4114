import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism, loadavg } from 'node:os';
import { join } from 'node:path';
import { newestNatsServer } from '../../support/newest-server.ts';
import { type Evidence, problemsOf } from './judge.ts';
import { Load } from './load.ts';
import { machineMs } from './machine-clock.ts';
import { CannotRun } from './cannot-run.ts';
import { type Figure, type Intensity, type Row, Stage } from './row.ts';
import type { Outcome } from './outcome.ts';
import { lateAppends } from './stored.ts';
import { World, type WorldOptions } from './world.ts';

export interface RowResult {
  readonly id: string;
  readonly fault: string;
  readonly toReach: string;
  readonly server: string;
  readonly replicas: number;
  /** By what faults of the network were made; '' where none was. */
  readonly network: string;
  readonly date: string;
  readonly seconds: number;
  /** Load average of the machine over the minute before, for each core: above a few tenths others were at work. */
  readonly busy?: number;
  readonly figures: readonly Figure[];
  /** How the calls ended. */
  readonly tally: Readonly<Record<string, number>>;
  readonly turns: number;
  readonly problems: readonly string[];
  /** Why it could not be run here. */
  readonly skipped?: string;
}

export type RunOptions = Intensity & Pick<WorldOptions, 'binary' | 'replicas' | 'without'>;

/** What a row must show at least, beside what it checks itself: part of the calls that were to be made, and of those that ended well. */
const paceMin = 0.8;
const usualOkMin = 0.8;
const liveWithinMs = 10_000;

/** Kept where a run failed. */
export const keepFolder: string = join(import.meta.dirname, '../../../.cache/chaos');

/** How the problem of a row begins that could not even start. */
export const noRun = 'no run came about';

/** Runs one row in a world of its own. Problems are in the result. */
export async function runRow(row: Row, options: RunOptions): Promise<RowResult> {
  const since = machineMs();
  try {
    return await run(row, options);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    const why = error instanceof CannotRun ? { skipped: text, problems: [] } : { problems: [`${noRun}: ${text}`] };
    return {
      ...{ id: row.id, fault: row.fault, toReach: row.toReach, server: 'nats-server', replicas: 1, network: '' },
      ...{ date: new Date().toISOString(), seconds: (machineMs() - since) / 1_000, figures: [], tally: {}, turns: 0 },
      ...why,
    };
  }
}

async function run(row: Row, options: RunOptions): Promise<RowResult> {
  const since = machineMs();
  const busy = (loadavg()[0] ?? 0) / availableParallelism();
  const { without } = options;
  const binary = row.newestServer === true ? await newestNatsServer() : options.binary;
  const replicas = row.world?.replicas ?? options.replicas ?? 1;
  await using world = await World.start({ nodes: ['a', 'b', 'c'], ...row.world, ...definedOnly({ binary, without }), replicas });
  const { server, network } = { server: world.serverName, network: world.network };
  const clients = [await world.client(), await world.client()];
  const keys = Array.from({ length: row.keys ?? options.keys }, (_, i) => `key-${i}`);
  const { timeoutMs } = row;
  const load = new Load({
    sender: 'c',
    clients,
    keys,
    perSecond: Math.min(options.perSecond, row.perSecond ?? Infinity),
    idempotent: row.idempotent === true,
    ...definedOnly({ timeoutMs }),
  });
  const stage = new Stage({ world, load, intensity: options });
  let skipped: string | undefined;
  try {
    await load.start();
    await row.run(stage);
    await end(stage, row);
  } catch (error) {
    if (error instanceof CannotRun) skipped = error.message;
    else stage.problems.push(`it broke off: ${error instanceof Error ? error.message : String(error)}`);
  }
  await load.stop().catch((error: unknown) => stage.problems.push(String(error)));
  const history = world.history(load);
  const { outcomes } = history;
  const rules = { isOrdered: row.idempotent !== true, epochsOfKeys: row.epochsOfKeys === true };
  const { turns } =
    row.world?.durable === true
      ? await judgeLog(stage, outcomes, rules)
      : judge(stage, { outcomes, turns: history.turns, mayDie: row.keepsState !== true, ...rules });
  if (stage.bites === 0 && skipped === undefined) stage.problems.push('nothing shows that the fault bit');
  const result: RowResult = {
    ...{ id: row.id, fault: row.fault, toReach: row.toReach, server, replicas, network: network ?? '' },
    busy,
    ...{ date: new Date().toISOString(), seconds: (machineMs() - since) / 1_000 },
    ...{ figures: stage.figures, tally: load.tally(), turns: turns.length, problems: stage.problems },
    ...(skipped === undefined ? {} : { skipped }),
  };
  if (result.problems.length > 0) await keep(world, load, result, options.seed);
  return result;
}

function judge(stage: Stage, evidence: Evidence): Pick<Evidence, 'turns'> {
  stage.problems.push(...problemsOf(evidence));
  return evidence;
}

type Rules = Pick<Evidence, 'isOrdered' | 'epochsOfKeys'>;

/** The log is what happened: held against what callers were told, and read for itself. */
async function judgeLog(stage: Stage, outcomes: readonly Outcome[], rules: Rules): Promise<Pick<Evidence, 'turns'>> {
  try {
    const { turns, problems, fences } = await stage.world.stored();
    stage.note('events in the log', turns.length, '');
    stage.note('fences', fences, '');
    stage.problems.push(...problems.slice(0, 5), ...lateAppends(outcomes, turns).slice(0, 5));
    return judge(stage, { outcomes, turns, mayDie: false, ...rules });
  } catch (error) {
    stage.problems.push(`rejected: the store does not open again: ${String(error)}`);
    return { turns: [] };
  }
}

/** I14 and the guard against an idle run. */
async function end(stage: Stage, row: Row): Promise<void> {
  const { load } = stage;
  stage.note('every key answers 5 calls in a row after', await load.answersInARow(5, liveWithinMs), 'ms');
  await load.stop();
  const { pace } = load;
  stage.check('the load was less than it was to be', pace >= paceMin, pace.toFixed(2));
  const { ok = 0, ...others } = load.tally();
  const all = load.outcomes.length;
  stage.check('too few calls ended well', ok / all >= (row.okMin ?? usualOkMin), `${ok} of ${all}`);
  const mayEnd = row.mayEnd ?? /^unknown (node|link)\.lost$/;
  for (const [name, count] of Object.entries(others)) stage.check('calls ended otherwise', mayEnd.test(name), `${count} ${name}`);
}

async function keep(world: World, load: Load, result: RowResult, seed: number): Promise<void> {
  const folder = join(keepFolder, `failed-${result.id.replaceAll(' ', '-')}-${seed}-${Date.now()}`);
  await mkdir(folder, { recursive: true });
  await world.keep(folder).catch(() => undefined);
  const lines = (items: readonly unknown[]): string => items.map((item) => `${JSON.stringify(item)}\n`).join('');
  await writeFile(join(folder, 'outcomes.jsonl'), lines(load.outcomes));
  await writeFile(join(folder, 'records.jsonl'), lines([...world.observer.turnover, ...world.observer.grants]));
  await writeFile(
    join(folder, 'logs.jsonl'),
    lines(world.processes.flatMap(({ nodeId, log }) => log.map((line) => ({ nodeId, ...line })))),
  );
  await writeFile(join(folder, 'result.json'), JSON.stringify(result, undefined, 2));
}

function definedOnly<T extends object>(fields: T): { [Name in keyof T]: Exclude<T[Name], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;
}
