import { type Node, startNode, type Store, type Transport } from '@perkey/core';
import { libraryLog } from '@perkey/example-support';
import type { Logger } from 'pino';
import { counter, durableCounter } from './counter.ts';

export interface CounterNode {
  readonly nodeId: string;
  readonly cluster: string;
  readonly shards: number;
  readonly transport: Transport;
  /** How long it may take to hand its counters over when it stops. */
  readonly drainMs: number;
  /** Where counters are kept. Undefined: in memory only. */
  readonly store?: Store | undefined;
  readonly onIncarnation?: (nodeId: string, incarnation: string) => void;
}

/** A node that hosts counters, in this process. */
export function startCounterNode({ store, ...wanted }: CounterNode, log: Logger): Promise<Node> {
  log.info({ nodeId: wanted.nodeId, shardCount: wanted.shards }, 'starting node');
  const actors = [store === undefined ? counter : durableCounter];
  return startNode({ ...wanted, ...(store && { store }), actors, log: libraryLog(log) });
}
