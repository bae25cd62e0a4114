export { startNatsServer, type NatsServer, type NatsServerOptions } from './dev/nats-server.ts';
export type { NatsClusterOptions } from './dev/server-config.ts';
export type { NatsServerInfo } from './dev/server-info.ts';
