import type { MetricFamily } from '@perkey/core';
import { supervise } from '@perkey/nats';
import { type ChildProcess, fork } from 'node:child_process';
import { on, once } from 'node:events';
import { join } from 'node:path';
import type { Logger } from 'pino';

export interface NodeProcessOptions {
  readonly nodeId: string;
  readonly cluster: string;
  readonly shards: number;
  readonly natsUrl: string;
  readonly logLevel: string;
  /** Whether a death is seen at once. Otherwise others wait until its lease has run out, and it is not started again. */
  readonly supervised: boolean;
}

/** What a node's process answers with its metrics. */
export const metricsQuestion = 'metrics, please';

/** How long a process that is told to stop may take before it is killed. */
const drainMs = 3_000;

/** A node in a process of its own. */
export class NodeProcess implements AsyncDisposable {
  readonly #options: NodeProcessOptions;
  readonly #log: Logger;
  #child: ChildProcess | undefined;
  #stop: () => Promise<void> = () => Promise.resolve();

  private constructor(options: NodeProcessOptions, log: Logger) {
    this.#options = options;
    this.#log = log;
  }

  static async start(options: NodeProcessOptions, log: Logger): Promise<NodeProcess> {
    const started = new NodeProcess(options, log);
    if (options.supervised) await started.#supervise();
    else started.#runAlone();
    return started;
  }

  /** What the node counted so far; nothing while it does not run. */
  async metrics(): Promise<readonly MetricFamily[]> {
    const child = this.#child;
    if (!child?.connected) return [];
    const over = new AbortController();
    child.once('disconnect', () => over.abort());
    child.send(metricsQuestion);
    for await (const [message] of on(child, 'message', { signal: over.signal })) {
      const { metrics } = message as { readonly metrics?: readonly MetricFamily[] };
      if (metrics !== undefined) return metrics;
    }
    return [];
  }

  /** At once, for an end that is not graceful. */
  kill(): void {
    this.#child?.kill('SIGKILL');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stop();
  }

  async #supervise(): Promise<void> {
    const { nodeId, cluster, natsUrl } = this.#options;
    const nats = { servers: natsUrl };
    const supervisor = await supervise({ cluster, nodeId, nats, drainMs, log: this.#log, start: () => this.#fork() });
    this.#stop = () => supervisor.stop();
  }

  #runAlone(): void {
    const { nodeId } = this.#options;
    const child = this.#fork();
    const ended = once(child, 'exit');
    this.#log.info({ nodeId, pid: child.pid }, 'started the process of a node');
    void ended.then(([code, signal]) => this.#log.info({ nodeId, code, signal }, 'the process of a node has ended'));
    this.#stop = async () => {
      child.kill('SIGTERM');
      const limit = setTimeout(() => child.kill('SIGKILL'), drainMs);
      if (child.exitCode === null && child.signalCode === null) await ended;
      clearTimeout(limit);
    };
  }

  #fork(): ChildProcess {
    const { nodeId, cluster, shards, natsUrl, logLevel } = this.#options;
    const args = ['--id', nodeId, '--cluster', cluster, '--shards', String(shards), '--log-level', logLevel];
    // PERKEY_SUPERVISED: the child ends with this process, however this one ends. Detached: a terminal's Ctrl-C does not reach it.
    const env = { ...process.env, NATS_URL: natsUrl, PERKEY_SUPERVISED: '1' };
    this.#child = fork(join(import.meta.dirname, 'node-main.ts'), args, { env, detached: true });
    return this.#child;
  }
}
