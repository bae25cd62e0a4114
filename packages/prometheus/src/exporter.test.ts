import { spawnSync } from 'node:child_process';
import type { MetricFamily } from '@perkey/core';
import { Counter, Gauge, Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { prometheusExporter } from './index.ts';

const requests: MetricFamily = {
  name: 'perkey_actor_requests_total',
  help: 'Requests, by outcome.',
  kind: 'counter',
  series: [
    { labels: { type: 'counter', outcome: 'ok' }, value: 12 },
    { labels: { type: 'counter', outcome: 'shard.moved' }, value: 1 },
  ],
};
const turns: MetricFamily = {
  name: 'perkey_actor_turn_duration_seconds',
  help: 'Duration of turns.',
  kind: 'histogram',
  buckets: [0.00005, 0.1, 2.5],
  series: [{ labels: { type: 'counter' }, counts: [3, 0, 2, 1], sum: 9.25 }],
};
const depth: MetricFamily = {
  name: 'perkey_actor_mailbox_depth',
  help: 'Waiting requests.',
  kind: 'gauge',
  series: [{ labels: {}, value: -1.5 }],
};

const bare = { defaultMetrics: false, sourceTimeoutMs: 20 } as const;
const never = (): Promise<never> => new Promise(() => {});

/** The lines of the families that are not the exporter's own. */
function foreign(text: string): readonly string[] {
  return text.split('\n').filter((line) => line !== '' && !line.includes('perkey_exporter_'));
}

function valueOf(text: string, series: string): number | undefined {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

const failures = (text: string, reason: string): number | undefined =>
  valueOf(text, `perkey_exporter_source_failures_total{reason="${reason}"}`);
const drops = (text: string, reason: string): number | undefined => valueOf(text, `perkey_exporter_dropped_total{reason="${reason}"}`);

test('a snapshot as text: counters, gauges, and histograms with cumulative buckets, sum and count', async () => {
  const exporter = prometheusExporter(bare);
  exporter.add(() => [requests, turns, depth]);
  expect(exporter.contentType).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(foreign(await exporter.text())).toEqual([
    '# HELP perkey_actor_requests_total Requests, by outcome.',
    '# TYPE perkey_actor_requests_total counter',
    'perkey_actor_requests_total{type="counter",outcome="ok"} 12',
    'perkey_actor_requests_total{type="counter",outcome="shard.moved"} 1',
    '# HELP perkey_actor_turn_duration_seconds Duration of turns.',
    '# TYPE perkey_actor_turn_duration_seconds histogram',
    'perkey_actor_turn_duration_seconds_bucket{le="0.00005",type="counter"} 3',
    'perkey_actor_turn_duration_seconds_bucket{le="0.1",type="counter"} 3',
    'perkey_actor_turn_duration_seconds_bucket{le="2.5",type="counter"} 5',
    'perkey_actor_turn_duration_seconds_bucket{le="+Inf",type="counter"} 6',
    'perkey_actor_turn_duration_seconds_sum{type="counter"} 9.25',
    'perkey_actor_turn_duration_seconds_count{type="counter"} 6',
    '# HELP perkey_actor_mailbox_depth Waiting requests.',
    '# TYPE perkey_actor_mailbox_depth gauge',
    'perkey_actor_mailbox_depth -1.5',
  ]);
});

test('several sources share a family and keep apart by their labels; one that is removed is gone', async () => {
  const exporter = prometheusExporter(bare);
  const handles = [0, 1, 2].map((n) => exporter.add(() => Promise.resolve([depth]), { node: `node-${n}` }));
  handles[1]?.remove();
  expect(foreign(await exporter.text())).toEqual([
    '# HELP perkey_actor_mailbox_depth Waiting requests.',
    '# TYPE perkey_actor_mailbox_depth gauge',
    'perkey_actor_mailbox_depth{node="node-0"} -1.5',
    'perkey_actor_mailbox_depth{node="node-2"} -1.5',
  ]);
});

test('label values and help texts are escaped', async () => {
  const exporter = prometheusExporter(bare);
  exporter.add(() => [
    { name: 'a', help: 'back\\slash\nbreak', kind: 'gauge', series: [{ labels: { x: 'q"b\\n\nend\ud800' }, value: 1 }] },
  ]);
  expect(foreign(await exporter.text())).toEqual(['# HELP a back\\\\slash\\nbreak', '# TYPE a gauge', 'a{x="q\\"b\\\\n\\nend\ufffd"} 1']);
});

test('a source that throws, rejects or stalls is left out of the scrape and counted; the rest is there', async () => {
  const exporter = prometheusExporter(bare);
  exporter.add(() => {
    throw new Error('sync');
  });
  exporter.add(() => Promise.reject(new Error('async')));
  exporter.add(never);
  exporter.add(() => [depth]);
  const text = await exporter.text();
  expect(valueOf(text, 'perkey_actor_mailbox_depth')).toBe(-1.5);
  expect([failures(text, 'rejected'), failures(text, 'stalled')]).toEqual([2, 1]);
  expect(failures(await exporter.text(), 'stalled')).toBe(2);
});

test('a stalled source is not called again while its answer is awaited, then given another chance', async () => {
  const exporter = prometheusExporter(bare);
  let calls = 0;
  exporter.add(() => {
    calls += 1;
    return calls === 1 ? never() : [depth];
  });
  for (let scrape = 0; scrape < 6; scrape += 1) expect(foreign(await exporter.text())).toEqual([]);
  expect(calls).toBe(1);
  expect(valueOf(await exporter.text(), 'perkey_actor_mailbox_depth')).toBe(-1.5);
  expect(calls).toBe(2);
});

test('a source that answers late is asked anew at the next scrape', async () => {
  const exporter = prometheusExporter(bare);
  let answer: (families: readonly MetricFamily[]) => void = () => {};
  let calls = 0;
  const late = new Promise<readonly MetricFamily[]>((resolve) => {
    answer = resolve;
  });
  exporter.add(() => {
    calls += 1;
    return calls === 1 ? late : [depth];
  });
  expect(failures(await exporter.text(), 'stalled')).toBe(1);
  answer([]);
  await new Promise(setImmediate);
  const text = await exporter.text();
  expect(valueOf(text, 'perkey_actor_mailbox_depth')).toBe(-1.5);
  expect(failures(text, 'stalled')).toBe(1);
});

test.each<[string, unknown]>([
  ['no list', { name: 'a' }],
  ['no family', [null]],
  ['a name with a line break', [{ ...depth, name: 'a 1\nevil' }]],
  ['another kind', [{ ...depth, kind: 'summary' }]],
  ['no series', [{ ...depth, series: undefined }]],
  ['no labels', [{ ...depth, series: [{ value: 1 }] }]],
  ['a label name with a quote', [{ ...depth, series: [{ labels: { 'a"': 'x' }, value: 1 }] }]],
  ['the label le', [{ ...depth, series: [{ labels: { le: '1' }, value: 1 }] }]],
  ['a label that is no text', [{ ...depth, series: [{ labels: { a: { toString: 'x' } }, value: 1 }] }]],
  ['a value that is no number', [{ ...depth, series: [{ labels: {}, value: '1 2' }] }]],
  ['too few counts', [{ ...turns, series: [{ labels: {}, counts: [1, 2], sum: 1 }] }]],
  ['a negative count', [{ ...turns, series: [{ labels: {}, counts: [1, -2, 0, 0], sum: 1 }] }]],
  ['falling buckets', [{ ...turns, buckets: [3, 2, 1] }]],
  ['a histogram without sum', [{ ...turns, series: [{ labels: {}, counts: [1, 2, 3, 4] }] }]],
])('malformed data are left out and counted: %s', async (_, snapshot) => {
  const exporter = prometheusExporter(bare);
  exporter.add(() => snapshot as readonly MetricFamily[]);
  exporter.add(() => [requests]);
  const text = await exporter.text();
  expect(drops(text, 'malformed')).toBe(1);
  expect(foreign(text)).toHaveLength(4);
});

test('what would make Prometheus refuse the scrape is left out: duplicate series, another kind, a name of the registry, too many', async () => {
  const registry = new Registry();
  new Gauge({ name: 'app_up', help: 'Up.', registers: [registry] }).set(1);
  const exporter = prometheusExporter({ ...bare, registry, seriesMax: 3 });
  exporter.add(() => [depth, requests]);
  exporter.add(() => [
    depth,
    { ...requests, kind: 'gauge' },
    { ...depth, name: 'app_up' },
    { ...depth, name: 'perkey_exporter_dropped_total' },
  ]);
  exporter.add(() => [depth], { node: 'node-9' });
  const text = await exporter.text();
  expect([drops(text, 'duplicate'), drops(text, 'conflict'), drops(text, 'limit')]).toEqual([1, 3, 1]);
  expect(valueOf(text, 'app_up')).toBe(1);
  expect(foreign(text)).toHaveLength(3 + 3 + 4);
});

test('the registry of the application is exported too; where it fails, the sources stand', async () => {
  const registry = new Registry();
  const counter = new Counter({ name: 'app_jobs_total', help: 'Jobs.', registers: [registry] });
  counter.inc(3);
  const exporter = prometheusExporter({ ...bare, registry });
  exporter.add(() => [depth]);
  expect(valueOf(await exporter.text(), 'app_jobs_total')).toBe(3);
  registry.registerMetric(
    new Gauge({ name: 'app_broken', help: 'Broken.', registers: [], collect: () => Promise.reject(new Error('gone')) }),
  );
  const text = await exporter.text();
  expect(valueOf(text, 'app_jobs_total')).toBeUndefined();
  expect(valueOf(text, 'perkey_actor_mailbox_depth')).toBe(-1.5);
  expect(failures(text, 'rejected')).toBe(1);
});

test('an OpenMetrics registry decides the format of the whole', async () => {
  const registry = new Registry();
  registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE as unknown as Registry['contentType']);
  new Counter({ name: 'app_jobs_total', help: 'Jobs.', registers: [registry] }).inc();
  const exporter = prometheusExporter({ ...bare, registry });
  exporter.add(() => [requests]);
  const text = await exporter.text();
  expect(exporter.contentType).toContain('openmetrics');
  expect(text).toContain('# TYPE app_jobs counter\napp_jobs_total 1\n# HELP perkey_actor_requests ');
  expect(text).toContain('perkey_actor_requests_total{type="counter",outcome="ok"} 12\n');
  expect(text.match(/# EOF\n/g)).toHaveLength(1);
  expect(text.endsWith('# EOF\n')).toBe(true);
});

test('options and labels out of bounds are refused', () => {
  expect(() => prometheusExporter({ sourceTimeoutMs: 0 })).toThrow('option sourceTimeoutMs: 0 is not an integer from 1 to 60000');
  expect(() => prometheusExporter({ seriesMax: 0.5 })).toThrow('option seriesMax');
  expect(() => prometheusExporter({ defaultMetric: false } as never)).toThrow('no option "defaultMetric"');
  expect(() => prometheusExporter(bare).add({} as never)).toThrow('() => node.metrics.snapshot()');
  expect(() => prometheusExporter(bare).add(() => [], { le: 'x' })).toThrow(TypeError);
  expect(() => prometheusExporter(bare).add(() => [], { 'no de': 'x' })).toThrow(TypeError);
});

test('process metrics come once, also where the registry of the application has them already', async () => {
  const registry = new Registry();
  prometheusExporter({ registry });
  const text = await prometheusExporter({ registry }).text();
  for (const name of ['nodejs_eventloop_lag_seconds', 'nodejs_heap_size_used_bytes', 'process_resident_memory_bytes']) {
    expect(valueOf(text, name)).toBeTypeOf('number');
  }
  expect(text).toContain('# TYPE nodejs_gc_duration_seconds histogram');
});

const promtoolMissing = spawnSync('promtool', ['--version']).error !== undefined;

test.skipIf(promtoolMissing)('promtool finds nothing to say about the text (skipped where promtool is not installed)', async () => {
  const exporter = prometheusExporter();
  for (const node of ['node-0', 'node-1']) exporter.add(() => [requests, turns, depth], { node });
  const checked = spawnSync('promtool', ['check', 'metrics'], { input: await exporter.text(), encoding: 'utf8' });
  expect({ status: checked.status, output: checked.stdout + checked.stderr }).toEqual({ status: 0, output: '' });
});
