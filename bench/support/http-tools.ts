import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** What one run of a tool against one server came to. */
export interface HttpRun {
  readonly rps: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
  /** Answers other than 2xx, and requests without an answer. */
  readonly failed: number;
}

/** A program that keeps a number of connections busy with POST requests. */
export interface HttpTool {
  readonly name: string;
  isInstalled(): Promise<boolean>;
  run(url: string, connections: number, seconds: number): Promise<HttpRun>;
}

const run = promisify(execFile);
const outputBytesMax = 16 * 2 ** 20;
const autocannonProgram = createRequire(import.meta.url).resolve('autocannon/autocannon.js');
const wrkScript = fileURLToPath(new URL('wrk-post.lua', import.meta.url));

async function output(program: string, args: readonly string[]): Promise<string> {
  const { stdout } = await run(program, args, { maxBuffer: outputBytesMax });
  return stdout;
}

/** Neither tool can only say what it is: hey and wrk print their help and end with an error. */
async function answers(program: string): Promise<boolean> {
  try {
    await run(program, ['-h']);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ENOENT';
  }
}

interface AutocannonResult {
  readonly requests: { readonly average: number; readonly total: number };
  readonly latency: { readonly p50: number; readonly p99: number };
  readonly non2xx: number;
  readonly errors: number;
  readonly timeouts: number;
  readonly duration: number;
}

async function autocannonRun(url: string, connections: number, amount: readonly string[]): Promise<HttpRun> {
  const args = [autocannonProgram, '--json', '--no-progress', '-m', 'POST', '-c', String(connections), ...amount, url];
  const { requests, latency, non2xx, errors, timeouts, duration } = JSON.parse(await output(process.execPath, args)) as AutocannonResult;
  return { rps: requests.total / duration, p50_ms: latency.p50, p99_ms: latency.p99, failed: non2xx + errors + timeouts };
}

/** So many requests, for a look at what they leave behind. */
export function sendRequests(url: string, connections: number, count: number): Promise<HttpRun> {
  return autocannonRun(url, connections, ['-a', String(count)]);
}

const autocannon: HttpTool = {
  name: 'autocannon',
  isInstalled: () => Promise.resolve(true),
  run: (url, connections, seconds) => autocannonRun(url, connections, ['-d', String(seconds)]),
};

function numberIn(text: string, pattern: RegExp): number {
  return Number(pattern.exec(text)?.[1] ?? Number.NaN);
}

const hey: HttpTool = {
  name: 'hey',
  isInstalled: () => answers('hey'),
  async run(url, connections, seconds) {
    const text = await output('hey', ['-z', `${seconds}s`, '-c', String(connections), '-m', 'POST', url]);
    const statuses = [...text.matchAll(/\[(\d{3})\]\s+(\d+) responses/g)];
    const refused = statuses.filter(([, status]) => !status?.startsWith('2')).reduce((sum, [, , count]) => sum + Number(count), 0);
    const unanswered = [...text.matchAll(/^\s*\[(\d+)\]\s+(?!\d+ responses)\S/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
    return {
      rps: numberIn(text, /Requests\/sec:\s+([\d.]+)/),
      p50_ms: numberIn(text, /50%+ in ([\d.]+) secs/) * 1_000,
      p99_ms: numberIn(text, /99%+ in ([\d.]+) secs/) * 1_000,
      failed: refused + unanswered,
    };
  },
};

const unitMs: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1_000, m: 60_000 };

function wrkPercentile(text: string, percent: number): number {
  const [, amount, unit = ''] = new RegExp(`^\\s+${percent}%\\s+([\\d.]+)(us|ms|s|m)\\s*$`, 'm').exec(text) ?? [];
  return Number(amount ?? Number.NaN) * (unitMs[unit] ?? Number.NaN);
}

const wrk: HttpTool = {
  name: 'wrk',
  isInstalled: () => answers('wrk'),
  async run(url, connections, seconds) {
    const text = await output('wrk', ['-t', '1', '-c', String(connections), '-d', `${seconds}s`, '--latency', '-s', wrkScript, url]);
    const socketErrors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text)?.slice(1) ?? [];
    const refused = numberIn(text, /Non-2xx or 3xx responses: (\d+)/) || 0;
    return {
      rps: numberIn(text, /Requests\/sec:\s+([\d.]+)/),
      p50_ms: wrkPercentile(text, 50),
      p99_ms: wrkPercentile(text, 99),
      failed: refused + socketErrors.reduce((sum, count) => sum + Number(count), 0),
    };
  },
};

export const httpTools: readonly HttpTool[] = [autocannon, hey, wrk];
