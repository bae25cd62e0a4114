import { expect, test } from 'vitest';
import { MetricsRegistry, durationBuckets } from './metrics-registry.ts';
import type { MetricFamily, Series } from './metrics.ts';
import { noMetrics } from './metrics.ts';

const seriesOf = (families: readonly MetricFamily[], name: string): readonly Series[] =>
  families.find((family) => family.name === name)?.series ?? [];

test('the same name and labels give the same instrument, in whatever order the labels are written', () => {
  const registry = new MetricsRegistry();
  const first = registry.counter('perkey_calls_total', 'Calls.', { method: 'get', type: 'counter' });
  expect(registry.counter('perkey_calls_total', 'Calls.', { type: 'counter', method: 'get' })).toBe(first);
  expect(registry.counter('perkey_calls_total', 'Calls.', { type: 'counter', method: 'set' })).not.toBe(first);
  expect(registry.gauge('perkey_depth', 'Depth.')).toBe(registry.gauge('perkey_depth', 'Depth.', {}));
});

test('a counter adds and never falls', () => {
  const registry = new MetricsRegistry();
  const counter = registry.counter('perkey_calls_total', 'Calls.');
  counter.inc();
  counter.inc(2.5);
  counter.inc(-4);
  counter.inc(Number.NaN);
  expect(seriesOf(registry.snapshot(), 'perkey_calls_total')).toEqual([{ labels: {}, value: 3.5 }]);
});

test('a histogram counts a value in the first bucket that holds it, and what is above all of them in the last', () => {
  const registry = new MetricsRegistry();
  const histogram = registry.histogram('perkey_wait_seconds', 'Wait.', [0.1, 1]);
  for (const value of [0, 0.1, 0.2, 1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) histogram.observe(value);
  const [series] = seriesOf(registry.snapshot(), 'perkey_wait_seconds');
  expect(series).toMatchObject({ labels: {}, counts: [2, 2, 1] });
  expect((series as { sum: number }).sum).toBeCloseTo(2.8);
});

test('an observed gauge is read at the snapshot, a later reader replaces an earlier one, a reader that throws is left out', () => {
  const registry = new MetricsRegistry();
  let reads = 0;
  registry.observedGauge('perkey_lag_seconds', 'Lag.', () => 7);
  registry.observedGauge('perkey_lag_seconds', 'Lag.', () => ++reads);
  registry.observedGauge('perkey_broken', 'Broken.', () => {
    throw new Error('gone');
  });
  registry.observedGauge('perkey_unknown', 'Unknown.', () => Number.NaN);
  expect(seriesOf(registry.snapshot(), 'perkey_lag_seconds')).toEqual([{ labels: {}, value: 1 }]);
  const second = registry.snapshot();
  expect(seriesOf(second, 'perkey_lag_seconds')).toEqual([{ labels: {}, value: 2 }]);
  expect(seriesOf(second, 'perkey_broken')).toEqual([]);
  expect(seriesOf(second, 'perkey_unknown')).toEqual([]);
});

test('a snapshot is plain data and does not change afterwards', () => {
  const registry = new MetricsRegistry();
  const counter = registry.counter('perkey_calls_total', 'Calls.', { type: 'a' });
  const histogram = registry.histogram('perkey_wait_seconds', 'Wait.', durationBuckets);
  const before = registry.snapshot();
  counter.inc();
  histogram.observe(1);
  expect(JSON.parse(JSON.stringify(before))).toEqual(before);
  expect(seriesOf(before, 'perkey_calls_total')).toEqual([{ labels: { type: 'a' }, value: 0 }]);
  expect(seriesOf(before, 'perkey_wait_seconds')).toMatchObject([{ sum: 0 }]);
});

test('above seriesMax further series do nothing and are counted, and the ones that exist go on', () => {
  const registry = new MetricsRegistry({ seriesMax: 3 });
  const kept = [0, 1, 2].map((n) => registry.counter('perkey_calls_total', 'Calls.', { type: `t${n}` }));
  const dropped = registry.counter('perkey_calls_total', 'Calls.', { type: 't3' });
  expect(registry.counter('perkey_calls_total', 'Calls.', { type: 't4' })).toBe(dropped);
  registry.gauge('perkey_depth', 'Depth.').set(9);
  registry.observedGauge('perkey_lag_seconds', 'Lag.', () => 9);
  registry.histogram('perkey_wait_seconds', 'Wait.', [1]).observe(9);
  dropped.inc(100);
  kept[0]?.inc();
  expect(registry.counter('perkey_calls_total', 'Calls.', { type: 't0' })).toBe(kept[0]);
  const snapshot = registry.snapshot();
  expect(seriesOf(snapshot, 'perkey_calls_total')).toEqual([1, 0, 0].map((value, n) => ({ labels: { type: `t${n}` }, value })));
  expect(seriesOf(snapshot, 'perkey_metrics_dropped_series')).toEqual([{ labels: {}, value: 5 }]);
  for (const name of ['perkey_depth', 'perkey_lag_seconds', 'perkey_wait_seconds']) expect(seriesOf(snapshot, name)).toEqual([]);
});

test('the limit is 2,000 series when nothing else is said', () => {
  const registry = new MetricsRegistry();
  for (let n = 0; n < 2_010; n += 1) registry.gauge('perkey_depth', 'Depth.', { n: String(n) });
  expect(seriesOf(registry.snapshot(), 'perkey_depth')).toHaveLength(2_000);
  expect(seriesOf(registry.snapshot(), 'perkey_metrics_dropped_series')).toEqual([{ labels: {}, value: 10 }]);
});

test('a name used again with another kind, help, buckets or source of its value is refused', () => {
  const registry = new MetricsRegistry();
  registry.gauge('perkey_depth', 'Depth.');
  registry.observedGauge('perkey_lag_seconds', 'Lag.', () => 0);
  registry.histogram('perkey_wait_seconds', 'Wait.', [1, 2]);
  expect(() => registry.gauge('perkey_depth', 'Other.')).toThrow('metric perkey_depth already has another help text');
  expect(() => registry.histogram('perkey_depth', 'Depth.', [1])).toThrow('metric perkey_depth is already a gauge');
  expect(() => registry.histogram('perkey_wait_seconds', 'Wait.', [1, 3])).toThrow('already has other buckets');
  expect(() => registry.observedGauge('perkey_depth', 'Depth.', () => 0)).toThrow('already a gauge that is set');
  expect(() => registry.gauge('perkey_lag_seconds', 'Lag.')).toThrow('already an observed gauge');
});

test.each([
  ['upper case', () => new MetricsRegistry().gauge('perkeyDepth', 'Depth.')],
  ['a counter without _total', () => new MetricsRegistry().counter('perkey_calls', 'Calls.')],
  ['a gauge with _total', () => new MetricsRegistry().gauge('perkey_calls_total', 'Calls.')],
  ['a histogram with _count', () => new MetricsRegistry().histogram('perkey_wait_count', 'Wait.', [1])],
  ['no help', () => new MetricsRegistry().gauge('perkey_depth', ' ')],
  ['no buckets', () => new MetricsRegistry().histogram('perkey_wait_seconds', 'Wait.', [])],
  [
    '13 buckets',
    () =>
      new MetricsRegistry().histogram(
        'perkey_wait_seconds',
        'Wait.',
        Array.from({ length: 13 }, (_, n) => n),
      ),
  ],
  ['falling buckets', () => new MetricsRegistry().histogram('perkey_wait_seconds', 'Wait.', [2, 1])],
  ['an endless bucket', () => new MetricsRegistry().histogram('perkey_wait_seconds', 'Wait.', [1, Number.POSITIVE_INFINITY])],
  ['the label le', () => new MetricsRegistry().gauge('perkey_depth', 'Depth.', { le: '1' })],
  ['a label with a space', () => new MetricsRegistry().gauge('perkey_depth', 'Depth.', { 'a b': '1' })],
  [
    'the label __proto__',
    () => new MetricsRegistry().gauge('perkey_depth', 'Depth.', JSON.parse('{"__proto__":"x"}') as Record<string, string>),
  ],
  [
    'a label value that is no text',
    () => new MetricsRegistry().gauge('perkey_depth', 'Depth.', { a: 1 } as unknown as Record<string, string>),
  ],
  ['a label value of 129 characters', () => new MetricsRegistry().gauge('perkey_depth', 'Depth.', { a: 'x'.repeat(129) })],
])('refused at registration: %s', (_, register) => {
  expect(register).toThrow(TypeError);
});

test('noMetrics takes everything and shows nothing', () => {
  noMetrics.counter('anything', '').inc();
  noMetrics.gauge('anything', '').set(1);
  noMetrics.histogram('anything', '', []).observe(1);
  noMetrics.observedGauge('anything', '', () => {
    throw new Error('never read');
  });
  expect(noMetrics.snapshot()).toEqual([]);
});
