import { glob, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { metricTable, runForMetrics } from './metric-run.ts';
import { fillTables, tablesIn } from './page-tables.ts';
import { referenceTables } from './reference-tables.ts';

/** `npm run docs`: writes the tables of the pages anew from the code, and that of the metrics from what a run exports. */
const root = join(import.meta.dirname, '../..');
const tables = { ...referenceTables(), metrics: metricTable(await runForMetrics()) };

for await (const name of glob('docs/*.md', { cwd: root })) {
  const page = await readFile(join(root, name), 'utf8');
  if (tablesIn(page).length === 0) continue;
  const filled = fillTables(page, tables);
  if (filled !== page) await writeFile(join(root, name), filled);
  console.log(`${filled === page ? 'as it was' : 'rewritten'}: ${name}`);
}
