import { parseArgs } from 'node:util';
import { attack } from './attack.ts';

const help = `npm run hostile -- [--count N] [--seed S] [--json]

Sends N inputs that nobody should send (default 1,000,000) to a node over NATS and to an HTTP server, in a process of their own, and checks that
nothing breaks, leaks, stalls or stays without an answer. A run with the same seed sends the same inputs.

--count    how many inputs; seven of ten are frames, two are calls in JSON, one is a request over HTTP
--seed     a number; default: one by chance, which is printed
--json     the whole result on standard output
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      count: { type: 'string', default: '1000000' },
      seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(help);
    return 0;
  }
  const [count, seed] = [Number(values.count), Number(values.seed)];
  if (!Number.isSafeInteger(count) || count < 100 || !Number.isSafeInteger(seed)) {
    process.stderr.write('--count must be an integer of at least 100, and --seed an integer\n');
    return 2;
  }
  process.stderr.write(`${count} inputs, seed ${seed}\n`);
  const result = await attack({
    count,
    seed,
    onProgress: (done, { heapBytes, stallMs, workMs, badFrames, resident }) => {
      if (done % 40_000 !== 0 && done !== count) return;
      const heap = (heapBytes / 1_048_576).toFixed(1);
      process.stderr.write(
        `${done}: heap ${heap} MB, stall ${stallMs} ms (work ${workMs} ms), bad frames ${badFrames}, actors ${resident}\n`,
      );
    },
  });
  const { faults, silent, answers, first, last, ...figures } = result;
  if (values.json) process.stdout.write(`${JSON.stringify(result)}\n`);
  else
    console.log({
      ...figures,
      silent,
      answers,
      heapFirst: first.heapBytes,
      heapLast: last.heapBytes,
      handles: last.handles,
      series: last.series,
    });
  for (const fault of faults) process.stderr.write(`FAULT ${fault}\n`);
  return faults.length > 0 || silent > 0 || result.workMs > 50 || result.heapBytesPerInput > 16 ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 1;
}
