import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { machine } from '../../../bench/support/machine.ts';
import { controls as controlsNow } from '../controls.ts';
import { rows as rowsNow } from '../rows.ts';
import type { Figure } from './row.ts';
import { keepFolder, type RowResult } from './run-row.ts';

const root = join(import.meta.dirname, '../../..');
const page = join(root, 'docs/reliability.md');
const folder = join(keepFolder, 'results');

/** A part of the protocol was taken out: what the harness said. */
export interface ControlResult {
  readonly without: string;
  readonly row: string;
  readonly server: string;
  readonly date: string;
  /** Undefined where nothing noticed. */
  readonly caughtBy: string | undefined;
}

const [begin, end] = ['<!-- figures -->', '<!-- /figures -->'];

const fileOf = (parts: readonly unknown[]): string => join(folder, `${parts.join('-').replaceAll(/[^A-Za-z0-9.]+/g, '-')}.json`);

/** Keeps the latest result of each row, so that the page can be written from several runs. */
export async function keepRow(result: RowResult): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(fileOf(['row', result.id, result.server, result.replicas]), JSON.stringify(result));
}

export async function keepControl(result: ControlResult): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(fileOf(['control', result.without, result.row]), JSON.stringify(result));
}

/**
 * Writes the figures of the latest runs into `docs/reliability.md`. What the page holds of rows and controls that have no result at hand, since
 * they were run elsewhere, stays there, as does the rest of the page.
 */
export async function writePage(command: string): Promise<void> {
  const all = await read<RowResult>('row-');
  // One that could not start is overtaken by a later run on whatever server.
  const results = all.filter(({ id, turns, date }) => turns > 0 || !all.some((other) => other.id === id && other.date > date));
  const isControl = ({ without, row }: ControlResult): boolean => controlsNow.some((one) => one.without === without && one.row === row);
  const controls = (await read<ControlResult>('control-')).filter(isControl);
  const text = await readFile(page, 'utf8');
  const [before, rest] = text.split(begin);
  const [earlier, after] = rest?.split(end) ?? [];
  if (before === undefined || earlier === undefined || after === undefined) throw new Error(`${page} has no place for figures`);
  await writeFile(page, `${before}${begin}\n\n${await figures(results, controls, command, earlier)}\n${end}${after}`);
}

async function read<T>(prefix: string): Promise<T[]> {
  const names = await readdir(folder).catch(() => []);
  const texts = await Promise.all(names.filter((name) => name.startsWith(prefix)).map((name) => readFile(join(folder, name), 'utf8')));
  return texts.map((text) => JSON.parse(text) as T);
}

async function figures(
  results: readonly RowResult[],
  controls: readonly ControlResult[],
  command: string,
  earlier: string,
): Promise<string> {
  const { cores, cpu, memory_gb, os, node } = await machine();
  const days = new Set([...results, ...controls].map(({ date }) => date.slice(0, 10)));
  const before = linesOf(earlier);
  const rowLines = withEarlier(results.map(rowLine), before, ([id]) => rowsNow.some((row) => row.id === id) || id === 'soak', rowKey);
  const isControl = ([without, row]: readonly string[]): boolean =>
    controlsNow.some((one) => cell(one.without) === without && one.row === row);
  const controlLines = withEarlier(controls.map(controlLine), before, isControl, ([without, row]) => `${without} | ${row}`);
  const isMixed = rowLines.length + controlLines.length > results.length + controls.length;
  if (isMixed) for (const [day] of earlier.matchAll(/\d{4}-\d\d-\d\d/g)) days.add(day);
  const lines = [
    `Measured by \`${command}\` on ${[...days].sort().join(', ')}: ${cores} cores (${cpu}), ${memory_gb} GB, ${os}, Node ${node}. Clients, nodes and servers share these cores. "Busy" is the load average for each core in the minute before a run: where it is not near 0, others were at work, and figures of time say little.`,
    '',
    '| row | fault | servers | figures | calls answered | unknown | refused | busy | verdict |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ...rowLines.toSorted(byRow),
    '',
    'What the harness says when a part of the protocol is taken out of the nodes:',
    '',
    '| taken out | row | noticed |',
    '| --- | --- | --- |',
    ...controlLines.toSorted(),
    '',
  ];
  return lines.join('\n');
}

const controlLine = ({ without, row, caughtBy }: ControlResult): string =>
  `| ${cell(without)} | ${row} | ${caughtBy === undefined ? '**no**' : cell(caughtBy)} |`;

const linesOf = (text: string): string[] => text.split('\n').filter((line) => line.startsWith('| '));
const cellsOf = (line: string): string[] => line.slice(2, -2).split(' | ');

/** The lines, and those of the page before that none of them replaces and that are still known. */
export function withEarlier(
  lines: readonly string[],
  earlier: readonly string[],
  isKnown: (cells: readonly string[]) => boolean,
  keyOf: (cells: readonly string[]) => string,
): string[] {
  const keys = new Set(lines.map((line) => keyOf(cellsOf(line))));
  return [...lines, ...earlier.filter((line) => isKnown(cellsOf(line)) && !keys.has(keyOf(cellsOf(line))))];
}

/** A row is run anew by whatever way to the network; on another server, or on more of them, it is another run. */
export function rowKey([id = '', , where = '']: readonly string[]): string {
  return [id, ...where.split(', ').filter((part) => part !== 'namespaces' && part !== 'proxy')].join(' | ');
}

function rowLine(result: RowResult): string {
  const { id, fault, server, replicas, network, tally, problems, skipped } = result;
  const { ok = 0, ...others } = tally;
  const sum = (prefix: string): number =>
    Object.entries(others).reduce((all, [name, count]) => all + (name.startsWith(prefix) ? count : 0), 0);
  const where = `${server.replace('nats-server ', '')}${replicas > 1 ? `, ${replicas} replicas` : ''}${network === '' ? '' : `, ${network}`}`;
  const verdict = skipped === undefined ? (problems.length === 0 ? 'holds' : `**${cell(problems[0]!)}**`) : `not run: ${cell(skipped)}`;
  const shown = result.figures.map(figureText).join('; ');
  return `| ${id} | ${cell(fault)} | ${where} | ${cell(shown)} | ${ok} | ${sum('unknown')} | ${sum('no') + sum('yes')} | ${result.busy?.toFixed(1) ?? ''} | ${verdict} |`;
}

export function figureText({ name, value, unit, bound }: Figure): string {
  const digits = Number.isInteger(value) ? 0 : Math.abs(value) >= 100 ? 0 : 1;
  return `${name} ${value.toFixed(digits)}${unit === '' ? '' : ` ${unit}`}${bound === undefined ? '' : ` (${bound})`}`;
}

const cell = (text: string): string => text.split('\n')[0]!.replaceAll('|', '\\|').slice(0, 600);

/** F2 before F10; what has no number comes last. */
function byRow(a: string, b: string): number {
  const number = (line: string): number => Number(/^\| F(\d+)/.exec(line)?.[1] ?? 1_000);
  const place = (line: string): string => rowKey(cellsOf(line));
  return number(a) - number(b) || place(a).localeCompare(place(b));
}
