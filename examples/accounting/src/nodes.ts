import { type Node, startNode } from '@perkey/core';
import { libraryLog } from '@perkey/example-support';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { account } from './account.ts';
import { cluster, type Place } from './place.ts';

const shards = 64;
const names = ['node-0', 'node-1', 'node-2'];

/** The three nodes, which keep their names when they are started again, and where each account was last at work. */
export class AccountingNodes implements AsyncDisposable {
  readonly #place: Place;
  readonly #log: Logger;
  readonly #at = new Map<string, string>();
  #running: readonly Promise<Node>[] = [];
  #ended = false;

  constructor(place: Place, log: Logger) {
    this.#place = place;
    this.#log = log;
  }

  /** The node on which the last call to the account ran. */
  nodeOf(id: string): string | undefined {
    return this.#at.get(id);
  }

  /** Resolves when every node has its share of the shards. Rejects after 30 s without that. */
  async start(): Promise<void> {
    if (this.#ended) throw new Error('the run was ended');
    this.#running = names.map((nodeId) => this.#start(nodeId));
    const nodes = await Promise.all(this.#running);
    const isShared = (): boolean => {
      const owned = nodes.map((node) => node.inspect(0)?.shardsOwned ?? 0);
      return owned.reduce((sum, count) => sum + count) === shards && Math.min(...owned) >= Math.floor(shards / names.length);
    };
    for (const giveUpAt = performance.now() + 30_000; !isShared(); await delay(10)) {
      if (performance.now() > giveUpAt) throw new Error('the nodes did not take their shards within 30 s; the log says more');
    }
  }

  /** All at once, so that none hands its accounts to one that stops next. */
  async stop(): Promise<void> {
    await Promise.allSettled(this.#running.map(async (node) => (await node).stop()));
    this.#running = [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    await this.stop();
  }

  #start(nodeId: string): Promise<Node> {
    const { broker, storeOf } = this.#place;
    this.#log.info({ nodeId, shardCount: shards }, 'starting node');
    return startNode({
      ...{ nodeId, cluster, shards, actors: [account], transport: broker.transport(), store: storeOf(nodeId), drainMs: 2_500 },
      log: libraryLog(this.#log),
      middleware: [
        ({ key }, next) => {
          this.#at.set(key, nodeId);
          return next();
        },
      ],
    });
  }
}
