import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { newestNatsServer } from '../support/newest-server.ts';
import { controls } from './controls.ts';
import { figureText, keepControl, keepRow, writePage } from './harness/report.ts';
import type { Row } from './harness/row.ts';
import { noRun, type RunOptions, runRow } from './harness/run-row.ts';
import { rows } from './rows.ts';
import { mix } from './rows/mix.ts';

/** Run on the newest server too. */
const onBoth = ['F1 supervised', 'F1 alone', 'F2', 'F3', 'F4', 'F5', 'F5b', 'F6', 'F7 toNode', 'F8 toServer', 'F1 log', 'F8 log'];

/** Random faults for so long at least. */
const soakMinutesMin = 5;

const help = `npm run chaos -- [--rows F1,F5] [--controls] [--minutes N] [--all] [--seed S] [--server newest|2.9|<path>] [--replicas 3] [--short] [--write]

Runs faults against real node processes and real NATS servers, under 2,000 requests/s over 1,000 keys, and judges what callers saw.

--rows       the rows with these numbers, or "all"; "list" names them
--controls   the same rows with parts of the protocol taken out: each must be noticed
--minutes    random faults, one every 10 s, for so long
--all        every row, on both servers where it matters, and the controls; with --minutes all of it together takes about so long: random
             faults fill what the rest leaves, at least ${soakMinutesMin} minutes
--seed       of the random faults; default: one that is told
--server     newest: of the system's package archive; 2.9: the system's own (default); or a path
--replicas   3: three servers as a cluster, every bucket on all of them
--short      shorter faults, for a first look
--write      writes the figures of the latest run of every row into docs/reliability.md
Progress goes to standard error. What a failed run saw is kept below .cache/chaos. Ends with 1 when something does not hold.
`;

interface Job {
  readonly row: Row;
  readonly options: RunOptions;
  /** Something must be found. */
  readonly mustFail: boolean;
}

function isNamed(row: Row, names: readonly string[]): boolean {
  return names.some((name) => name === 'all' || row.id === name || row.id.split(' ')[0] === name);
}

async function runJob({ row, options, mustFail }: Job): Promise<boolean> {
  const { without, seed } = options;
  console.error(`${row.id}: ${row.fault}${without === undefined ? '' : `, without ${without}`}`);
  const strays: string[] = [];
  const note = (error: unknown): void => void strays.push(`a promise was rejected that nobody waits for: ${String(error)}`);
  process.on('unhandledRejection', note);
  const result = await runRow(row, options);
  process.off('unhandledRejection', note);
  const { server, date, skipped } = result;
  const problems = [...result.problems, ...strays];
  const found = problems.filter((problem) => !problem.startsWith(noRun));
  const rejected = found.find((text) => text.startsWith('rejected'));
  const held = mustFail ? found.length > 0 : problems.length === 0;
  const { ok = 0, ...others } = result.tally;
  const ends = Object.entries(others).map(([name, count]) => `, ${count} ${name}`);
  console.log(
    `${held ? 'ok  ' : 'FAIL'} ${row.id} (${server}, ${result.seconds.toFixed(0)} s, seed ${seed}): ${ok} answered${ends.join('')}`,
  );
  if (skipped !== undefined) console.log(`       not run: ${skipped}`);
  for (const figure of result.figures) console.log(`       ${figureText(figure)}`);
  for (const problem of problems) console.log(`     ! ${problem}`);
  if (without === undefined) await keepRow({ ...result, problems });
  else
    await keepControl({
      without,
      row: row.id,
      server,
      date,
      caughtBy: rejected?.split('\n')[1] ?? rejected ?? found[0],
    });
  return held;
}

async function binaryOf(server: string): Promise<string | undefined> {
  if (server === '2.9') return undefined;
  return server === 'newest' ? newestNatsServer() : server;
}

async function main(): Promise<number> {
  const since = performance.now();
  const { values } = parseArgs({
    options: {
      rows: { type: 'string' },
      controls: { type: 'boolean', default: false },
      minutes: { type: 'string' },
      all: { type: 'boolean', default: false },
      seed: { type: 'string' },
      server: { type: 'string', default: '2.9' },
      replicas: { type: 'string', default: '1' },
      short: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help || process.argv.length === 2) {
    process.stdout.write(help);
    return 0;
  }
  if (values.rows === 'list') {
    for (const { id, fault, toReach } of rows) console.log(`${id}: ${fault}\n    ${toReach}`);
    return 0;
  }
  const seed = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed);
  const options: RunOptions = {
    ...{ perSecond: 2_000, keys: 1_000, short: values.short, slackMs: 0, seed },
    ...{ binary: await binaryOf(values.server), replicas: Number(values.replicas) },
  };
  const named = values.all ? 'all' : (values.rows ?? '');
  const jobs: Job[] = rows.filter((row) => isNamed(row, named.split(','))).map((row) => ({ row, options, mustFail: false }));
  if (values.all) {
    const binary = await newestNatsServer().catch((error: unknown) => console.error(`the newest server is left out: ${String(error)}`));
    if (typeof binary === 'string')
      for (const row of rows) if (onBoth.includes(row.id)) jobs.push({ row, options: { ...options, binary }, mustFail: false });
  }
  if (values.controls || values.all) {
    for (const { without, row: id } of controls) {
      const row = rows.find((one) => one.id === id)!;
      jobs.push({ row, options: { ...options, short: true, slackMs: 10_000, without }, mustFail: true });
    }
  }
  let held = true;
  for (const job of jobs) held = (await runJob(job)) && held;
  if (values.minutes !== undefined) {
    const spent = values.all ? (performance.now() - since) / 60_000 : 0;
    const minutes = Math.max(Number(values.minutes) - spent, values.all ? soakMinutesMin : 0);
    const soak = mix('soak', () => minutes * 60, 10_000);
    held = (await runJob({ row: soak, options, mustFail: false })) && held;
  }
  // Without --all the page holds the latest run of each row, by whatever choice of rows.
  if (values.write) await writePage(values.all ? `npm run chaos -- ${process.argv.slice(2).join(' ')}` : 'npm run chaos');
  return held ? 0 : 1;
}

process.exit(await main());
