export type { ExporterOptions, MetricSource, SourceHandle } from './exporter.ts';
export { PrometheusExporter, prometheusExporter } from './exporter.ts';
export type { ListenOptions, MetricsServer } from './server.ts';
