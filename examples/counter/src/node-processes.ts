import type { MetricFamily } from '@perkey/core';
import { supervise } from '@perkey/nats';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { libraryLog } from '@perkey/example-support';

export interface NodeProcessOptions {
  readonly nodeId: string;
  readonly cluster: string;
  readonly shards: number;
  readonly natsUrl: string;
  readonly logLevel: string;
  readonly durable: boolean;
  /** Whether its death is seen at once and it is started again. Otherwise the others wait until its lease has run out. */
  readonly supervised: boolean;
}

/** What a node's process says once it is a member, and what it answers with its metrics. */
export const joined = 'joined';
export const metricsQuestion = 'metrics?';
export interface MetricsAnswer {
  readonly metrics: readonly MetricFamily[];
}

/** How long a process that is told to stop may take before it is killed. */
const drainMs = 3_000;

/** A node in a process of its own. */
export class NodeProcess implements AsyncDisposable {
  readonly #options: NodeProcessOptions;
  readonly #log: Logger;
  readonly #joined = Promise.withResolvers<void>();
  #child: ChildProcess | undefined;
  #stop: () => Promise<unknown> = () => Promise.resolve();
  #onMetrics: (metrics: readonly MetricFamily[]) => void = () => {};

  constructor(options: NodeProcessOptions, log: Logger) {
    this.#options = options;
    this.#log = log;
  }

  /** Called once. Resolves when the node is a member; rejects when its process ends before. */
  async start(): Promise<void> {
    const { cluster, nodeId, natsUrl: servers, supervised } = this.#options;
    if (supervised) {
      const log = libraryLog(this.#log);
      const supervisor = await supervise({ cluster, nodeId, nats: { servers }, drainMs, log, start: () => this.#fork() });
      this.#stop = () => supervisor.stop();
    } else {
      const child = this.#fork();
      this.#stop = () => end(child);
    }
    await this.#joined.promise;
  }

  /** What the node counted so far; nothing while it does not run. */
  metrics(): Promise<readonly MetricFamily[]> {
    return new Promise((resolve) => {
      this.#onMetrics = resolve;
      if (!this.#child?.connected) resolve([]);
      else this.#child.send(metricsQuestion, (error) => error && resolve([]));
    });
  }

  /** At once, for an end that is not graceful. */
  kill(): void {
    this.#child?.kill('SIGKILL');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
  }

  #fork(): ChildProcess {
    const { nodeId, cluster, shards, natsUrl, logLevel, durable } = this.#options;
    const args = [
      '--id',
      nodeId,
      '--cluster',
      cluster,
      '--shards',
      String(shards),
      '--log-level',
      logLevel,
      ...(durable ? ['--durable'] : []),
    ];
    // PERKEY_SUPERVISED: the child ends with this process, however this one ends. Detached: a terminal's Ctrl-C does not reach it.
    const env = { ...process.env, NATS_URL: natsUrl, PERKEY_SUPERVISED: '1' };
    const child = fork(join(import.meta.dirname, 'node-main.ts'), args, { env, detached: true });
    this.#log.info({ nodeId, pid: child.pid }, 'started the process of a node');
    child.on('message', (message) => {
      if (message === joined) this.#joined.resolve();
      else if (isAnswer(message)) this.#onMetrics(message.metrics);
    });
    child.once('exit', (code, signal) => {
      this.#log.info({ nodeId, pid: child.pid, code, signal }, 'the process of a node has ended');
      this.#joined.reject(new Error(`the process of ${nodeId} ended before it had joined the cluster`));
      this.#onMetrics([]);
    });
    this.#child = child;
    return child;
  }
}

function isAnswer(message: unknown): message is MetricsAnswer {
  return typeof message === 'object' && message !== null && 'metrics' in message;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  const limit = setTimeout(() => child.kill('SIGKILL'), drainMs);
  await once(child, 'exit');
  clearTimeout(limit);
}
