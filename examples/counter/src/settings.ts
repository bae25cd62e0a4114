import { brokerSettings } from '@perkey/example-support';
import type { OptionTable } from '@perkey/core';

const everywhere = {
  cluster: {
    kind: 'text',
    default: 'counter',
    min: 1,
    max: 64,
    form: { pattern: /[A-Za-z0-9_-]+/, meaning: 'a name of the characters A-Z a-z 0-9 _ -' },
    env: 'COUNTER_CLUSTER',
    help: 'Name of the cluster.',
  },
  ...brokerSettings,
  host: { kind: 'text', default: '127.0.0.1', min: 1, max: 255, env: 'COUNTER_HOST', help: 'Address to listen on.' },
  logLevel: {
    kind: 'choice',
    values: ['debug', 'info', 'warn', 'error'],
    default: 'info',
    env: 'COUNTER_LOG_LEVEL',
    help: 'Lines below it are left out; debug shows requests.',
  },
} as const satisfies OptionTable;

const durable = {
  durable: { kind: 'flag', default: false, env: 'COUNTER_DURABLE', help: 'Every count is stored, in JetStream, before it is answered.' },
} as const satisfies OptionTable;

/** `npm run demo`. A port of 0 takes a free one. */
export const demoSettings = {
  nodes: { kind: 'integer', default: 7, min: 1, max: 64, env: 'COUNTER_NODES', help: 'Nodes to start: node-0, node-1 and so on.' },
  shards: { kind: 'integer', default: 64, min: 1, max: 16_384, env: 'COUNTER_SHARDS', help: 'Shards of the cluster.' },
  httpPort: { kind: 'integer', default: 8181, min: 0, max: 65_535, env: 'COUNTER_HTTP_PORT', help: 'Port of the HTTP API.' },
  metricsPort: { kind: 'integer', default: 2121, min: 0, max: 65_535, env: 'COUNTER_METRICS_PORT', help: 'Port of /metrics.' },
  processes: { kind: 'flag', default: false, env: 'COUNTER_PROCESSES', help: 'Every node in a process of its own.' },
  supervisor: {
    kind: 'flag',
    default: true,
    env: 'COUNTER_SUPERVISOR',
    help: 'With processes: a node that dies is evicted at once and started again, instead of waiting for its lease.',
  },
  ...durable,
  embedded: { kind: 'flag', default: false, env: 'COUNTER_EMBEDDED', help: 'No NATS: everything stays in this process.' },
  ...everywhere,
} as const satisfies OptionTable;

/** `npm run node`. */
export const nodeSettings = {
  id: {
    kind: 'text',
    min: 1,
    max: 64,
    form: { pattern: /[A-Za-z0-9_-]+/, meaning: 'a name of the characters A-Z a-z 0-9 _ -' },
    env: 'COUNTER_NODE_ID',
    help: 'Name of the node, such as node-7; no other live node has it.',
  },
  shards: {
    kind: 'integer',
    default: 0,
    min: 0,
    max: 16_384,
    env: 'COUNTER_SHARDS',
    help: 'Shards of the cluster. 0: as the running demo has.',
  },
  ...durable,
  metricsPort: { kind: 'integer', default: 0, min: 0, max: 65_535, help: 'Port of /metrics for this node. 0: none.' },
  ...everywhere,
} as const satisfies OptionTable;
