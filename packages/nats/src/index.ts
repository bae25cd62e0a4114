export { nats } from './nats.ts';
export { natsOptionTable } from './options.ts';
export type { NatsOptions, NatsTlsOptions } from './options.ts';
