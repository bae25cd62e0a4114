import { noMetrics, silentLogger, type StoreEnvironment, systemClock, systemRandom } from '@perkey/core';

/** What a store is opened with in a bench. */
export const benchEnvironment: StoreEnvironment = {
  cluster: 'bench',
  nodeId: 'node-0',
  shards: 64,
  clock: systemClock,
  random: systemRandom,
  log: silentLogger,
  metrics: noMetrics,
  connectTimeoutMs: 10_000,
};
