export { clusterStreams, type ClusterStreamsOptions, removeCluster } from './dev/cluster-streams.ts';
export { natsServerFromArchive, type ArchiveOptions } from './dev/archive.ts';
export { findNats, type FindNatsOptions, type FoundNats, type NatsSource } from './dev/find-nats.ts';
export { startNatsServer, type NatsServer, type NatsServerOptions } from './dev/nats-server.ts';
export type { NatsClusterOptions } from './dev/server-config.ts';
export type { NatsServerInfo } from './dev/server-info.ts';
