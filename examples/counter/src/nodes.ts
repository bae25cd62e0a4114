import { type Node, startNode, type Store, type Transport } from '@perkey/core';
import { libraryLog } from '@perkey/example-support';
import type { Logger } from 'pino';
import { counter, durableCounter } from './counter.ts';

export interface CounterNode {
  readonly nodeId: string;
  readonly cluster: string;
  readonly shards: number;
  readonly transport: Transport;
  /** Where the counts are kept; undefined: in memory. */
  readonly store: Store | undefined;
  /** How long it may take to hand its counters over when it stops. */
  readonly drainMs: number;
  readonly onIncarnation?: (nodeId: string, incarnation: string) => void;
}

/** A node that hosts counters, in this process. */
export function startCounterNode({ store, ...wanted }: CounterNode, log: Logger): Promise<Node> {
  log.info({ nodeId: wanted.nodeId, shardCount: wanted.shards }, 'starting node');
  const kept = store === undefined ? { actors: [counter] } : { actors: [durableCounter], store };
  return startNode({ ...wanted, ...kept, log: libraryLog(log) });
}
