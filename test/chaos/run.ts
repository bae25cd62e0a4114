import { rows } from './rows.ts';
import { runRow } from './harness/run-row.ts';
const wanted = process.argv[2]!.split(',');
for (const row of rows) {
  if (!wanted.some((w) => row.id === w || row.id.split(' ')[0] === w)) continue;
  const result = await runRow(row, { perSecond: 2000, keys: 1000, short: process.argv[3] === 'short', slackMs: 0, seed: 1 });
  console.log(row.id, result.seconds.toFixed(1), 's', JSON.stringify(result.tally), result.turns);
  for (const f of result.figures) console.log('   ', f.name, Number(f.value.toFixed(1)), f.unit, f.bound ?? '');
  for (const p of result.problems) console.log('  !!', p);
}
process.exit(0);
