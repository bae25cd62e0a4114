import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { testServers } from '../support/newest-server.ts';
import { controls } from './controls.ts';
import { mutations } from './harness/mutations.ts';
import { noRun, type RunOptions, runRow } from './harness/run-row.ts';
import { rows } from './rows.ts';

/** A short form: less load, shorter faults, and room for a machine that is busy with other tests. The figures are those of `npm run chaos`. */
const short: RunOptions = { perSecond: 300, keys: 150, short: true, slackMs: 3_000, seed: 1 };
const timeout = 60_000;

/** Rows that take long, or whose figures mean something on a quiet machine only, are left to `npm run chaos`. */
const here = [
  ...['F1 supervised', 'F1 alone', 'F2', 'F3', 'F5', 'F6', 'F6 short', 'F6 repeat', 'F6 caller', 'F7 toNode', 'F8 toNode', 'F8 toServer'],
  ...['F8 SIGKILL', 'F12', 'F15', 'F19', 'F20', 'F21', 'F22', 'F23', 'F1 log', 'F8 log'],
];

const rowOf = (id: string): (typeof rows)[number] => {
  const row = rows.find((one) => one.id === id);
  if (row === undefined) throw new Error(`there is no row ${id}`);
  return row;
};

const [system, ...others] = await testServers();

test.each(here.map(rowOf))('$id: $fault', { timeout }, async (row) => {
  const { problems } = await runRow(row, { ...short, binary: system?.binary });
  expect(problems).toEqual([]);
});

describe.each(others)('$name', ({ binary }) => {
  test.each(['F2', 'F3'].map(rowOf))('$id: $fault', { timeout }, async (row) => {
    const { problems } = await runRow(row, { ...short, binary });
    expect(problems).toEqual([]);
  });
});

test.each(Object.entries(mutations))('what is taken out without %s is there', async (_, parts) => {
  for (const { file, find } of parts) {
    const texts = await Promise.all(
      ['core', 'nats'].map((name) => readFile(join(import.meta.dirname, '../../packages', name, 'src', file), 'utf8').catch(() => '')),
    );
    expect(texts.join(''), file).toContain(find);
  }
});

test.each(controls.slice(0, 2))('without $without row $row does not hold', { timeout }, async ({ without, row }) => {
  const { problems } = await runRow(rowOf(row), { ...short, without });
  expect(problems.filter((problem) => problem.startsWith('rejected'))).not.toEqual([]);
});

test('a row whose servers do not start is told as such, and stops no other', async () => {
  const { problems, tally } = await runRow(rowOf('F3'), { ...short, binary: '/nowhere/nats-server' });
  expect([problems.map((problem) => problem.startsWith(noRun)), tally]).toEqual([[true], {}]);
});
