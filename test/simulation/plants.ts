import { parseArgs } from 'node:util';
import { findPlant } from './support/planted-copy.ts';
import { plants } from './support/plants.ts';

const help = `Plants one fault after the other into a copy of the code and simulates it until something fails.

  npm run sim:plants

  --only NAME    one plant: ${plants.map(({ name }) => name).join(' ')}
  --seed S       first seed (default 1)
  --minutes N    simulated minutes for each plant at most (default 240)`;

const text = { type: 'string' } as const;
const { values } = parseArgs({ options: { only: text, seed: text, minutes: text, help: { type: 'boolean' } } });
const chosen = plants.filter(({ name }) => values.only === undefined || name === values.only);
if (values.help === true || chosen.length === 0) console.log(help);
else {
  console.log('| planted | found by seed | simulated minutes | seconds | faults left | what was found |');
  console.log('| --- | --- | --- | --- | --- | --- |');
  for (const plant of chosen) {
    const found = await findPlant(plant, {
      ...{ firstSeed: Number(values.seed ?? 1), minutesMax: Number(values.minutes ?? 240), worldMinutes: 1, shrinkRunsMax: 20 },
    });
    if (found === undefined) process.exitCode = 1;
    const cells = found
      ? [found.seed, found.minutes, (found.ms / 1_000).toFixed(1), found.faults, found.what.replace(/^seed \d+: /, '').slice(0, 120)]
      : ['not found', '', '', '', ''];
    console.log(`| ${plant.what} | ${cells.join(' | ')} |`);
  }
}
