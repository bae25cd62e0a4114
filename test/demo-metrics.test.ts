import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DemoProcess } from './support/demo-process.ts';
import { HttpLoad, send } from './support/http-load.ts';

const run = promisify(execFile);
const secret = 'an-id-that-nobody-may-see';

async function runs(program: string): Promise<boolean> {
  try {
    await run(program, ['--version']);
    return true;
  } catch {
    return false;
  }
}
const [hasPromtool, hasPrometheus] = await Promise.all([runs('promtool'), runs('prometheus')]);

const scrape = async (demo: DemoProcess): Promise<string> => (await fetch(demo.metricsUrl)).text();
const seriesIn = (text: string): readonly string[] => text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));

/** What promtool says against a scrape; '' where it is content. */
async function lint(text: string): Promise<string> {
  const child = spawn('promtool', ['check', 'metrics'], { stdio: ['pipe', 'pipe', 'pipe'] });
  let said = '';
  child.stdout.on('data', (part: Buffer) => (said += part.toString()));
  child.stderr.on('data', (part: Buffer) => (said += part.toString()));
  child.stdin.end(text);
  const [code] = (await once(child, 'close')) as [number];
  return code === 0 ? said : `${said}(exit ${code})`;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

describe.each([
  ['one process', []],
  ['processes', ['--processes', '--nodes', '3']],
])('metrics of %s', (_name, args) => {
  let demo: DemoProcess;
  beforeAll(async () => {
    demo = await DemoProcess.ready(args);
    const path = `/counter/${secret}`;
    await send(demo.url, { method: 'POST', path: `${path}/increment`, headers: { 'idempotency-key': secret } });
    await send(demo.url, { method: 'POST', path: `${path}/increment`, body: '{"amount": "x"}' });
    await send(demo.url, { path });
  });
  afterAll(() => demo[Symbol.asyncDispose]());

  test('every node tells what it has and did, and the HTTP server what it asked for', async () => {
    // Shards may still be on their way to the nodes that came last.
    const owned = async (): Promise<number> => sumOf(seriesIn(await scrape(demo)), /^perkey_cluster_shards_owned\{/);
    await expect.poll(owned, { timeout: 10_000 }).toBe(64);
    const series = seriesIn(await scrape(demo));
    const nodes = args.length === 0 ? 7 : 3;
    for (const name of [
      ...['shards_owned', 'view', 'lease_remaining_seconds', 'epoch_changes_total', 'fence_rejections_total', 'evictions_total'],
      ...['handoff_duration_seconds_count', 'event_loop_lag_seconds', 'frames_sent_total', 'frame_envelopes_count'],
    ]) {
      const found = series.filter((line) => line.startsWith(`perkey_cluster_${name}{`) && /node="node-\d"/.test(line));
      expect([name, found.length]).toEqual([name, nodes]);
    }
    for (const name of ['activations_total', 'resident', 'mailbox_depth', 'turns_total', 'turn_duration_seconds_count']) {
      expect([name, series.some((line) => line.startsWith(`perkey_actor_${name}{`))]).toEqual([name, true]);
    }
    const sum = (pattern: RegExp): number => sumOf(series, pattern);
    expect(sum(/^perkey_cluster_requests_total\{(?=.*node="http")(?=.*method="increment")(?=.*outcome="ok")/)).toBe(1);
    expect(sum(/^perkey_cluster_requests_total\{(?=.*node="http")(?=.*method="increment")(?=.*outcome="input.invalid")/)).toBe(1);
    expect(sum(/^perkey_cluster_request_duration_seconds_count\{(?=.*node="http")(?=.*method="get")/)).toBe(1);
    expect(sum(/^perkey_actor_resident\{/)).toBe(1);
    expect(sum(/^perkey_exporter_(source_failures|dropped)_total\{/)).toBe(0);
    for (const name of ['process_cpu_seconds_total', 'process_resident_memory_bytes', 'nodejs_eventloop_lag_seconds']) {
      expect([name, series.some((line) => line.startsWith(name))]).toEqual([name, true]);
    }
  });

  test.skipIf(!hasPromtool)('promtool finds nothing to say (skipped where it is not installed)', async () => {
    expect(await lint(await scrape(demo))).toBe('');
  });

  test('no series grows out of what was sent', async () => {
    const load = (prefix: string): HttpLoad => {
      const ids = Array.from({ length: 500 }, (_, index) => `${prefix}-${index}`);
      return new HttpLoad({ url: demo.url, connections: 20, ids, requests: 1_000 });
    };
    await load('warm').done;
    const before = seriesIn(await scrape(demo)).length;
    for (const prefix of [secret, `${secret}.*>\n{}"`]) await load(prefix).done;
    for (const path of [`/${secret}`, `/counter/${secret}/x`]) await send(demo.url, { method: 'PURGE', path });
    const text = await scrape(demo);
    expect(seriesIn(text)).toHaveLength(before);
    expect(text).not.toContain(secret);
  });
});

test.skipIf(!hasPrometheus)('a real Prometheus scrapes it (skipped where it is not installed)', { timeout: 30_000 }, async () => {
  await using demo = await DemoProcess.ready(['--nodes', '2']);
  const dir = await mkdtemp(join(tmpdir(), 'perkey-prometheus-'));
  const target = new URL(demo.metricsUrl).host;
  const config = `scrape_configs: [{ job_name: demo, scrape_interval: 500ms, static_configs: [{ targets: ['${target}'] }] }]`;
  await writeFile(join(dir, 'prometheus.yml'), config);
  const address = `127.0.0.1:${await freePort()}`;
  const args = [`--config.file=${dir}/prometheus.yml`, `--storage.tsdb.path=${dir}/data`, `--web.listen-address=${address}`];
  const prometheus = spawn('prometheus', args, { stdio: 'ignore' });
  const ended = once(prometheus, 'exit');
  try {
    const query = async (expression: string): Promise<readonly (readonly [string, string])[]> => {
      const answer = await fetch(`http://${address}/api/v1/query?query=${encodeURIComponent(expression)}`).catch(() => undefined);
      if (!answer?.ok) return [];
      const { data } = (await answer.json()) as { data: { result: { metric: { node?: string }; value: [number, string] }[] } };
      return data.result.map(({ metric, value }) => [metric.node ?? '', value[1]] as const);
    };
    await send(demo.url, { method: 'POST', path: '/counter/a/increment' });
    const requests = 'sum by (node) (perkey_cluster_requests_total{node="http",method="increment"})';
    for (;;) {
      const found = await query(requests);
      if (found.length > 0 && found[0]?.[1] === '1') break;
      await new Promise((resolve) => void setTimeout(resolve, 100));
    }
    expect(await query('sum(perkey_cluster_shards_owned)')).toEqual([['', '64']]);
    expect(await query('up')).toEqual([['', '1']]);
  } finally {
    prometheus.kill('SIGTERM');
    await ended;
    await rm(dir, { recursive: true, force: true, maxRetries: 3 });
  }
});

function sumOf(series: readonly string[], pattern: RegExp): number {
  return series.filter((line) => pattern.test(line)).reduce((total, line) => total + Number(line.split(' ').at(-1)), 0);
}
