import type { OptionTable } from '@perkey/core';

/** Which NATS server a program uses. */
export const brokerSettings = {
  natsUrl: {
    kind: 'text',
    default: '',
    min: 0,
    max: 4_096,
    secret: true,
    env: 'NATS_URL',
    help: 'NATS server to use, and no other. Default: the first that is found or can be started.',
  },
} as const satisfies OptionTable;
