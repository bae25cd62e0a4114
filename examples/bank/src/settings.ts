import type { OptionTable } from '@perkey/core';

const both = {
  natsUrl: {
    kind: 'text',
    default: 'nats://localhost:4222',
    min: 1,
    max: 4_096,
    secret: true,
    env: 'NATS_URL',
    help: 'The NATS server, or several, parted by commas. Default: nats://localhost:4222.',
  },
  cluster: {
    kind: 'text',
    default: 'bank',
    min: 1,
    max: 64,
    form: { pattern: /[A-Za-z0-9_-]+/, meaning: 'a name of the characters A-Z a-z 0-9 _ -' },
    env: 'BANK_CLUSTER',
    help: 'Name of the cluster.',
  },
  host: { kind: 'text', default: '127.0.0.1', min: 1, max: 255, env: 'BANK_HOST', help: 'Address to listen on.' },
  logLevel: {
    kind: 'choice',
    values: ['debug', 'info', 'warn', 'error'],
    default: 'info',
    env: 'BANK_LOG_LEVEL',
    help: 'Lines below it are left out; debug shows requests.',
  },
} as const satisfies OptionTable;

/** The gateway. A port of 0 takes a free one. */
export const gatewaySettings = {
  port: { kind: 'integer', default: 8080, min: 0, max: 65_535, env: 'PORT', help: 'Port of the HTTP API.' },
  ...both,
} as const satisfies OptionTable;

/** A handler. */
export const handlerSettings = {
  store: {
    kind: 'choice',
    values: ['sqlite', 'jetstream'],
    default: 'sqlite',
    env: 'STORE',
    help: 'Where events are kept: a file of this handler, or JetStream for all handlers. All handlers of a cluster have the same.',
  },
  dbPath: { kind: 'text', default: './data/handler.db', min: 1, max: 4_096, env: 'DB_PATH', help: 'The file of this handler.' },
  nodeId: {
    kind: 'text',
    default: '',
    min: 0,
    max: 64,
    form: { pattern: /[A-Za-z0-9_-]*/, meaning: 'a name of the characters A-Z a-z 0-9 _ -' },
    env: 'NODE_ID',
    help: 'Name of this handler; no other one has it. Default: a random one.',
  },
  shards: { kind: 'integer', default: 64, min: 1, max: 16_384, env: 'BANK_SHARDS', help: 'Shards of the cluster; fixed for its life.' },
  healthPort: {
    kind: 'integer',
    default: 0,
    min: 0,
    max: 65_535,
    env: 'HEALTH_PORT',
    help: 'Port of /health and /metrics. 0: a free one.',
  },
  ...both,
} as const satisfies OptionTable;
