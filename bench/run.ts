import { parseArgs } from 'node:util';
import { call } from './call.ts';
import { codec } from './codec.ts';
import { failover } from './failover.ts';
import { history } from './history.ts';
import { http } from './http.ts';
import { local } from './local.ts';
import { memory } from './memory.ts';
import { placement } from './placement.ts';
import { smoke } from './smoke.ts';
import type { Bench } from './support/bench.ts';
import { machine } from './support/machine.ts';
import { say } from './support/say.ts';

const benches: Readonly<Record<string, Bench>> = { call, local, memory, placement, failover, http, codec, history, smoke };

const help = `npm run bench -- <name> [--json] [--quick] [--profile <folder>]

  call       requests over NATS from another process, beside two raw echoes of the same bytes
  local      requests to an actor on the caller's own node, and turns alone
  memory     bytes for an idle actor, and what is left after all were passivated
  placement  balance, movement and time of the placement, beside other ways to place
  failover   what callers see when a node is told to stop, or is killed
  http       the counter demo under autocannon, hey and wrk, beside a bare server
  codec      the wire form, beside JSON and msgpackr
  history    a million operations on a thousand keys, decided by the history checker of the test kit
  smoke      a short run of each of them

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
  const bench = name !== undefined && Object.hasOwn(benches, name) ? benches[name] : undefined;
  if (bench === undefined || more.length > 0) {
    const fault =
      name === undefined ? 'no bench was named' : bench === undefined ? `there is no bench "${name}"` : `too much: ${more.join(' ')}`;
    process.stderr.write(`${fault}; the benches are ${Object.keys(benches).join(', ')} (--help says what each does)\n`);
    return 2;
  }
  const where = await machine();
  const { cores, cpu, memory_gb, os, node, nats_server, date } = where;
  say(`${name}: ${cores} x ${cpu}, ${memory_gb} GB, ${os}, node ${node}, nats-server ${nats_server ?? 'not found'}, ${date}`);
  const { json, quick, profile } = values;
  const result = await bench({ json, quick, profile });
  if (json) console.log(JSON.stringify({ bench: name, quick, machine: where, ...result }));
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 1;
}
