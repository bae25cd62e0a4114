import { supervise, type Supervisor } from '@perkey/nats';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Peer, startProgram } from './peer.ts';

interface Inspection {
  readonly shardsOwned: number;
  readonly members: readonly { readonly nodeId: string; readonly state: string }[];
}

interface NodeProcess {
  peer: Peer;
  readonly supervisor: Supervisor | undefined;
}

export interface Ended {
  readonly pid: number;
  /** When the signal was sent, by `performance.now()`. */
  readonly at: number;
  /** Resolves when the process is gone: how long each of its shards took, where it could say. */
  readonly handoffsMs: Promise<readonly number[]>;
}

const nodeProgram = new URL('failover-node.ts', import.meta.url);
/** Processes that are started while callers wait find compiled what the first of them has compiled. */
const compileCache = fileURLToPath(new URL('../../.cache/compile', import.meta.url));
const settleTimeoutMs = 60_000;
const shards = 256;

/** A cluster of node processes, each under a supervisor of `@perkey/nats` or on its own. */
export class NodeProcesses implements AsyncDisposable {
  readonly #servers: string;
  readonly #supervised: boolean;
  readonly #nodes = new Map<string, NodeProcess>();

  constructor(servers: string, supervised: boolean) {
    this.#servers = servers;
    this.#supervised = supervised;
  }

  /** Resolves when the process has joined. */
  async start(nodeId: string): Promise<void> {
    const startChild = (): ChildProcess =>
      startProgram(nodeProgram, [this.#servers, nodeId], {
        NODE_COMPILE_CACHE: compileCache,
        ...(this.#supervised ? { PERKEY_SUPERVISED: '1' } : {}),
      });
    if (!this.#supervised) this.#nodes.set(nodeId, { peer: new Peer(startChild()), supervisor: undefined });
    else {
      let first: Peer | undefined;
      const supervisor = await supervise({
        cluster: 'bench',
        nats: { servers: this.#servers },
        nodeId,
        start: () => {
          const child = startChild();
          const known = this.#nodes.get(nodeId);
          if (known === undefined) first = new Peer(child);
          else known.peer = new Peer(child);
          return child;
        },
      });
      if (first === undefined) throw new Error('the supervisor started nothing');
      this.#nodes.set(nodeId, { peer: first, supervisor });
    }
    await this.#nodes.get(nodeId)?.peer.ready();
  }

  /** Sends the signal and resolves at once. */
  end(nodeId: string, signal: 'SIGTERM' | 'SIGKILL'): Ended {
    const { peer } = this.#of(nodeId);
    const { child } = peer;
    const handoffs: number[] = [];
    child.on('message', (message: { handoffsMs?: readonly number[] }) => {
      handoffs.push(...(message.handoffsMs ?? []));
    });
    const gone = once(child, 'exit');
    const at = performance.now();
    child.kill(signal);
    return { pid: child.pid ?? 0, at, handoffsMs: gone.then(() => handoffs) };
  }

  /** Brings a node back whose process has ended: by its supervisor where that has not given up, else anew. */
  async revive(nodeId: string, byItself: boolean): Promise<void> {
    const { supervisor } = this.#of(nodeId);
    if (supervisor !== undefined && byItself) return;
    await supervisor?.ended;
    this.#nodes.delete(nodeId);
    await this.start(nodeId);
  }

  /** Resolves when all nodes are members and each has its share of the shards. */
  async settled(): Promise<void> {
    const deadline = performance.now() + settleTimeoutMs;
    const least = Math.floor(shards / this.#nodes.size);
    for (;;) {
      const seen = await Promise.all([...this.#nodes.values()].map(({ peer }) => inspect(peer)));
      const owned = seen.reduce((sum, one) => sum + (one?.shardsOwned ?? 0), 0);
      if (owned === shards && seen.every((one) => one !== undefined && one.shardsOwned >= least)) return;
      if (performance.now() > deadline)
        throw new Error(`the cluster does not settle: ${JSON.stringify(seen.map((one) => one?.shardsOwned))}`);
      await delay(50);
    }
  }

  async stop(): Promise<void> {
    await Promise.all(
      [...this.#nodes.values()].map(async ({ peer, supervisor }) => {
        await supervisor?.stop();
        await peer.stop();
      }),
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #of(nodeId: string): NodeProcess {
    const node = this.#nodes.get(nodeId);
    if (node === undefined) throw new Error(`there is no ${nodeId}`);
    return node;
  }
}

async function inspect(peer: Peer): Promise<Inspection | undefined> {
  try {
    await peer.ready();
    return await peer.ask<Inspection>('inspect');
  } catch {
    // Its process has just ended; the next one is asked when it is there.
    return undefined;
  }
}
