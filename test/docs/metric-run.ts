import {
  type Client,
  connect,
  defineActor,
  defineProjection,
  type MetricFamily,
  memoryStore,
  type Metrics,
  MetricsRegistry,
  type Node,
  noMetrics,
  silentLogger,
  startNode,
  systemClock,
  systemRandom,
} from '@perkey/core';
import { nats } from '@perkey/nats';
import { type NatsServer, startNatsServer } from '@perkey/nats/dev';
import { prometheusExporter } from '@perkey/prometheus';
import { sqlite } from '@perkey/sqlite';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { EventLoop } from '../../examples/support/src/event-loop.ts';
import { code, markdownTable } from './page-tables.ts';

/** One metric as a run exported it. */
export interface MetricRow {
  readonly name: string;
  readonly kind: string;
  readonly labels: readonly string[];
  readonly help: string;
  readonly where: readonly string[];
  /** '' for what is there from the start; else what must have happened. */
  readonly after: string;
}

const cluster = 'metrics';

const Subject = defineActor('subject', {
  work: { input: z.object({ odd: z.boolean().default(false) }) },
  fail: {},
  hang: {},
});

const subject = Subject.host({
  state: (key): { value: unknown } => {
    if (key === 'stillborn') throw new Error('no state for this key');
    return { value: 0 };
  },
  turnTimeoutMs: 50,
  work(ctx, { odd }) {
    ctx.state.value = odd ? () => 'no plain data' : 1;
  },
  fail() {
    throw new Error('as asked for');
  },
  hang: () => new Promise<void>(() => {}),
});

const Kept = defineActor('kept', { raise: {} });

const kept = Kept.aggregate({
  initial: () => ({ count: 0 }),
  events: { Raised: z.object({}) },
  evolve: { Raised: ({ count }) => ({ count: count + 1 }) },
  commands: { raise: (ctx) => ctx.raise('Raised', {}) },
});

const raised = defineProjection({ name: 'raised', types: ['kept'], handle: () => {} });

/** What was exported so far, and after what it came. */
class Gathered {
  readonly #rows = new Map<string, { -readonly [Name in keyof MetricRow]: MetricRow[Name] }>();

  take(where: string, after: string, families: readonly MetricFamily[]): void {
    for (const { name, kind, help, series } of families) {
      const row = this.#rows.get(name) ?? { name, kind, help, labels: [], where: [], after };
      row.labels = merged(
        row.labels,
        series.flatMap(({ labels }) => Object.keys(labels)),
      );
      row.where = merged(row.where, [where]);
      this.#rows.set(name, row);
    }
  }

  rows(): readonly MetricRow[] {
    return [...this.#rows.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }
}

function merged(before: readonly string[], more: readonly string[]): readonly string[] {
  return [...new Set([...before, ...more])];
}

/** Starts nodes and a client over a real NATS server, makes them count everything that there is to count, and says what they export. */
export async function runForMetrics(): Promise<readonly MetricRow[]> {
  await using server = await startNatsServer();
  const gathered = new Gathered();
  await clusterMetrics(server, gathered);
  await sqliteMetrics(gathered);
  await exporterMetrics(gathered);
  using eventLoop = new EventLoop();
  const ofDemo = new MetricsRegistry();
  eventLoop.observe(ofDemo);
  gathered.take(
    'demo',
    '',
    ofDemo.snapshot().filter(({ name }) => name !== 'perkey_metrics_dropped_series'),
  );
  return gathered.rows();
}

async function clusterMetrics(server: NatsServer, gathered: Gathered): Promise<void> {
  const transport = nats({ servers: server.url });
  const options = {
    cluster,
    transport,
    actors: [subject, kept],
    projections: [raised],
    store: memoryStore(),
    shards: 8,
    rebalanceDelayMs: 0,
    env: {},
  };
  const first = await startNode({ ...options, nodeId: 'first' });
  await using second = await startNode({ ...options, nodeId: 'second' });
  await using client = await connect({ cluster, transport, env: {} });
  const nodes = [first, second];
  const look = (after: string): void => {
    for (const node of nodes) gathered.take('node', after, node.metrics.snapshot());
    gathered.take('client', after, client.metrics.snapshot());
  };
  try {
    // A request that meets a shard on the move would count as a refusal.
    await until(() => nodes.every((node) => node.inspect()?.shardsOwned === options.shards / nodes.length));
    look('');
    await client.actor(Subject, 'calm').work();
    look('a turn');
    await client.request('subject', 'juggle', 'calm', undefined).catch(ignore);
    look('a refusal');
    await client.actor(Subject, 'calm').fail().catch(ignore);
    look('a handler that threw');
    await client.actor(Subject, 'stillborn').work().catch(ignore);
    look('an activation that failed');
    await client.actor(Subject, 'stuck').hang().catch(ignore);
    look('a turn that outlived `turnTimeoutMs`');
    await sendGarbage(server, nodes, client);
    look('a frame that could not be read');
    await Promise.all(keysOf(64).map((key) => client.actor(Subject, key).work()));
    await first.stop();
    look('an actor that left a node');
    await Promise.all(keysOf(8).map((key) => client.actor(Subject, key).work({ odd: true })));
    nodes.push(await startNode({ ...options, nodeId: 'third' }));
    await second.stop();
    look('an actor whose state is not plain data, in a shard that moved');
  } finally {
    await Promise.all(nodes.map((node) => node.stop()));
  }
}

/** What a node counts of its store, where that is a file. */
async function sqliteMetrics(gathered: Gathered): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'perkey-metrics-'));
  const metrics = new MetricsRegistry();
  const environment = {
    cluster,
    nodeId: 'first',
    shards: 8,
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
    connectTimeoutMs: 5_000,
  };
  const store = await sqlite({ path: join(folder, 'store.db') }).open({ ...environment, metrics });
  const look = (): readonly MetricFamily[] => metrics.snapshot().filter(({ name }) => name.startsWith('perkey_sqlite_'));
  gathered.take('node with SQLite', '', look());
  await store.close();
  await rm(folder, { recursive: true, force: true });
}

/** Sends bytes that are no frame, as others on the server could, and waits until everybody has counted them. */
async function sendGarbage(server: NatsServer, nodes: readonly Node[], client: Client): Promise<void> {
  const environment = { cluster, clock: systemClock, random: systemRandom, connectTimeoutMs: 5_000, log: silentLogger, metrics: noMetrics };
  const events = { onFrame: ignore, onUndeliverable: ignore, onState: ignore };
  const link = await nats({ servers: server.url }).openData({ kind: 'client', clientId: 'garbage' }, events, environment);
  try {
    for (const { nodeId, incarnation } of nodes) link.send(link.nodeAddress(nodeId, incarnation), Buffer.from('garbage'), -1);
    link.send(link.everyClient, Buffer.from('garbage'), -1);
    await until(() => [...nodes, client].every(({ metrics }) => has(metrics, 'perkey_cluster_bad_frames_total')));
  } finally {
    await link.close();
  }
}

function has(metrics: Metrics, name: string): boolean {
  return metrics.snapshot().some((family) => family.name === name);
}

async function until(holds: () => boolean): Promise<void> {
  for (const giveUpAt = performance.now() + 10_000; !holds(); await delay(5)) {
    if (performance.now() > giveUpAt) throw new Error('waited 10 s in vain');
  }
}

const ignore = (): void => {};
function keysOf(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `key-${index}`);
}

/** What the exporter says of itself, beside the sources and the process. */
async function exporterMetrics(gathered: Gathered): Promise<void> {
  const text = await prometheusExporter({ defaultMetrics: false }).text();
  for (const [, name = '', help = ''] of text.matchAll(/^# HELP (\S+) (.*)$/gm)) {
    const kind = new RegExp(`^# TYPE ${name} (\\w+)$`, 'm').exec(text)?.[1] as MetricFamily['kind'];
    const samples = [...text.matchAll(new RegExp(`^${name}\\{(.*)\\} (\\S+)$`, 'gm'))];
    const series = samples.map(([, labels = '', value]) => ({
      labels: Object.fromEntries([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, label = '', content = '']) => [label, content])),
      value: Number(value),
    }));
    gathered.take('exporter', '', [{ name, help, kind, series }]);
  }
}

/** The table of the metrics page. */
export function metricTable(rows: readonly MetricRow[]): string {
  const cells = rows.map(({ name, kind, labels, help, where, after }) => [
    code(name),
    kind,
    labels.map(code).join(', '),
    where.join(', '),
    after,
    help,
  ]);
  return markdownTable(['metric', 'kind', 'labels', 'where', 'there after', 'what it is'], cells);
}
