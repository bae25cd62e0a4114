import type { OptionTable } from '@perkey/core';
import { brokerSettings } from '@perkey/example-support';

/** `npm run demo:accounting`. */
export const accountingSettings = {
  store: {
    kind: 'choice',
    values: ['jetstream', 'sqlite', 'memory'],
    default: 'jetstream',
    env: 'ACCOUNTING_STORE',
    help: 'Where the events are kept.',
  },
  keep: {
    kind: 'flag',
    default: false,
    env: 'ACCOUNTING_KEEP',
    help: 'Leaves the history, so that a further run with it goes on from there.',
  },
  folder: {
    kind: 'text',
    default: '',
    min: 0,
    max: 4_096,
    env: 'ACCOUNTING_FOLDER',
    help: 'Where --keep leaves files. Default: .cache/accounting of the project.',
  },
  ...brokerSettings,
  logLevel: {
    kind: 'choice',
    values: ['debug', 'info', 'warn', 'error'],
    default: 'info',
    env: 'ACCOUNTING_LOG_LEVEL',
    help: 'Lines below it are left out.',
  },
} as const satisfies OptionTable;
