import { type Node, startNode, type Transport } from '@perkey/core';
import { libraryLog } from '@perkey/example-support';
import type { Logger } from 'pino';
import { counter } from './counter.ts';

export interface CounterNode {
  readonly nodeId: string;
  readonly cluster: string;
  readonly shards: number;
  readonly transport: Transport;
  /** How long it may take to hand its counters over when it stops. */
  readonly drainMs: number;
  readonly onIncarnation?: (nodeId: string, incarnation: string) => void;
}

/** A node that hosts counters, in this process. */
export function startCounterNode(wanted: CounterNode, log: Logger): Promise<Node> {
  log.info({ nodeId: wanted.nodeId, shardCount: wanted.shards }, 'starting node');
  return startNode({ ...wanted, actors: [counter], log: libraryLog(log) });
}
