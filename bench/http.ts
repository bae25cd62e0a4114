import { startNatsServer } from '@perkey/nats/dev';
import type { BenchOptions } from './support/bench.ts';
import { DemoProcess } from './support/demo-process.ts';
import { type HttpRun, type HttpTool, httpTools, sendRequests } from './support/http-tools.ts';
import { median, round } from './support/numbers.ts';
import { Peer } from './support/peer.ts';
import { say } from './support/say.ts';

interface Row {
  readonly tool: string;
  readonly rps: number;
  readonly bare_rps: number;
  /** rps / bare_rps */
  readonly ratio: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
  readonly bare_p50_ms: number;
  readonly failed: number;
}

interface AfterRequests {
  readonly requests: number;
  readonly failed: number;
  readonly heap_before_mb: number;
  readonly heap_after_mb: number;
  /** Both after a forced collection. */
  readonly heap_growth_mb: number;
  readonly rss_before_mb: number;
  readonly rss_after_mb: number;
}

export interface HttpResult {
  readonly rows: readonly Row[];
  readonly connections: number;
  /** Not installed, so not run. */
  readonly tools_missing: readonly string[];
  readonly memory: AfterRequests;
  readonly nats_server_used: string;
}

interface Settings {
  readonly rounds: number;
  readonly seconds: number;
  readonly requests: number;
}

const connections = 200;
const path = '/counter/bench/increment';

/** The two servers take turns, in another order each round. */
async function measureRow(
  tool: HttpTool,
  urls: { readonly demo: string; readonly bare: string },
  { rounds, seconds }: Settings,
): Promise<Row> {
  const runs: { demo: HttpRun[]; bare: HttpRun[] } = { demo: [], bare: [] };
  for (let turn = 0; turn < rounds; turn += 1) {
    const order = turn % 2 === 0 ? (['demo', 'bare'] as const) : (['bare', 'demo'] as const);
    for (const server of order) runs[server].push(await tool.run(urls[server], connections, seconds));
  }
  const medianOf = (server: 'demo' | 'bare', field: keyof HttpRun): number => median(runs[server].map((run) => run[field]));
  const [rps, bareRps] = [medianOf('demo', 'rps'), medianOf('bare', 'rps')];
  const row = {
    tool: tool.name,
    rps: Math.round(rps),
    bare_rps: Math.round(bareRps),
    ratio: round(rps / bareRps, 3),
    p50_ms: round(medianOf('demo', 'p50_ms'), 2),
    p99_ms: round(medianOf('demo', 'p99_ms'), 2),
    bare_p50_ms: round(medianOf('bare', 'p50_ms'), 2),
    failed: runs.demo.reduce((sum, { failed }) => sum + failed, 0),
  };
  say(`  ${row.tool}: ${row.rps}/s, bare ${row.bare_rps}/s, ratio ${row.ratio}, ${row.failed} failed`);
  return row;
}

async function measureMemory(demo: DemoProcess, url: string, requests: number): Promise<AfterRequests> {
  const megabytes = (bytes: number): number => round(bytes / 2 ** 20, 1);
  const before = await demo.heap();
  const { failed } = await sendRequests(url, connections, requests);
  const after = await demo.heap();
  return {
    requests,
    failed,
    heap_before_mb: megabytes(before.heapUsed),
    heap_after_mb: megabytes(after.heapUsed),
    heap_growth_mb: megabytes(after.heapUsed - before.heapUsed),
    rss_before_mb: megabytes(before.rss),
    rss_after_mb: megabytes(after.rss),
  };
}

/**
 * The counter demo (its seven nodes and its HTTP server in one process, over a real nats-server) under the load tools that are installed, with
 * 200 connections that POST to one counter. Against a server of the same HTTP library that answers with a constant, by turns in the same run.
 * Then what so many requests leave on the heap of the demo.
 */
export async function http(options: BenchOptions): Promise<HttpResult> {
  const settings = options.quick ? { rounds: 1, seconds: 1, requests: 10_000 } : { rounds: 3, seconds: 6, requests: 500_000 };
  await using server = await startNatsServer();
  await using demo = await DemoProcess.start(server.url);
  await using bare = await Peer.start(new URL('support/bare-http.ts', import.meta.url));
  const urls = { demo: demo.address + path, bare: (await bare.ask<string>('address')) + path };
  const warmUp = Math.round(settings.requests / 10);
  for (const url of [urls.demo, urls.bare]) await sendRequests(url, connections, warmUp);
  const rows: Row[] = [];
  const missing: string[] = [];
  for (const tool of httpTools) {
    if (await tool.isInstalled()) rows.push(await measureRow(tool, urls, settings));
    else missing.push(tool.name);
  }
  const memory = await measureMemory(demo, urls.demo, settings.requests);
  const result = { rows, connections, tools_missing: missing, memory, nats_server_used: server.info.version };
  if (!options.json) {
    console.table(rows);
    console.table([memory]);
    if (missing.length > 0) console.log(`not installed: ${missing.join(', ')}`);
  }
  return result;
}
