import { parseArgs } from 'node:util';
import { benches } from './benches.ts';
import { smoke } from './smoke.ts';
import { machine } from './support/machine.ts';
import { say } from './support/say.ts';

const all = [...benches, { name: 'smoke', about: 'a short run of each of them', run: smoke }];
const nameChars = Math.max(...all.map(({ name }) => name.length));

const help = `npm run bench -- <name> [--json] [--quick] [--profile <folder>]

${all.map(({ name, about }) => `  ${name.padEnd(nameChars)}  ${about}`).join('\n')}

--json     one object on the last line of standard output
--quick    a short run, for a first look: its numbers are noisy
--profile  call only: CPU profiles of client and node at 256 and 1,024 in flight, and their heaviest functions
Progress goes to standard error.
`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
      profile: { type: 'string' },
    },
  });
  const [name, ...more] = positionals;
  if (values.help) {
    process.stdout.write(help);
    return 0;
  }
  const bench = all.find((one) => one.name === name);
  if (bench === undefined || more.length > 0) {
    const fault =
      name === undefined ? 'no bench was named' : bench === undefined ? `there is no bench "${name}"` : `too much: ${more.join(' ')}`;
    process.stderr.write(`${fault}; the benches are ${all.map((one) => one.name).join(', ')} (--help says what each does)\n`);
    return 2;
  }
  const where = await machine();
  const { cores, cpu, memory_gb, os, node, nats_server, date } = where;
  say(`${name}: ${cores} x ${cpu}, ${memory_gb} GB, ${os}, node ${node}, nats-server ${nats_server ?? 'not found'}, ${date}`);
  const { json, quick, profile } = values;
  const result = await bench.run({ json, quick, profile });
  if (json) console.log(JSON.stringify({ bench: name, quick, machine: where, ...result }));
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 1;
}
