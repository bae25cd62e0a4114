import type { LinkEnvironment } from '../contract/transport.ts';
import type { Deliveries } from './deliveries.ts';
import type { MemoryCluster } from './memory-cluster.ts';
import type { MemoryBroker } from './memory-session.ts';

/** What a link of one process to the in-process broker is made of. */
export interface MemoryLinkParts {
  readonly broker: MemoryBroker;
  readonly cluster: MemoryCluster;
  readonly environment: LinkEnvironment;
  readonly deliveries: Deliveries;
}
