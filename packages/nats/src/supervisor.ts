import { noMetrics, resolveOptions, safeText, silentLogger, systemClock, systemRandom } from '@perkey/core';
import type { Clock, ControlLink, Logger, ResolvedOptions, Timer } from '@perkey/core';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { evictDead } from './evict.ts';
import { nats } from './nats.ts';
import { incarnationIn, supervisedVariable } from './supervised-child.ts';
import { supervisorOptionTable } from './supervisor-options.ts';
import type { ChildExit, SupervisedCommand, Supervisor, SupervisorOptions, SupervisorOptionTable } from './supervisor-options.ts';

/**
 * Starts a node as a child process, and when that process has ended in any way, evicts its incarnation at once and starts it again.
 * Resolves when the first child runs; rejects when NATS cannot be reached, as `openControl` does, and with `options.invalid`.
 * Signals to this process are the embedding program's business: it calls `stop`.
 */
export async function supervise(options: SupervisorOptions): Promise<Supervisor> {
  const numbers: Record<string, unknown> = {};
  for (const name of Object.keys(supervisorOptionTable)) numbers[name] = (options as unknown as Record<string, unknown>)[name];
  const limits = resolveOptions(supervisorOptionTable, numbers);
  const environment = {
    cluster: options.cluster,
    clock: options.clock ?? systemClock,
    random: options.random ?? systemRandom,
    log: options.log ?? silentLogger,
    metrics: options.metrics ?? noMetrics,
    connectTimeoutMs: limits.connectTimeoutMs,
  };
  const link = await nats(options.nats).openControl(options.nodeId, { onState: () => {} }, environment);
  try {
    return new NodeSupervisor(options, limits, link, environment);
  } catch (error) {
    await link.close();
    throw error;
  }
}

type Phase =
  | { readonly is: 'running'; readonly child: ChildProcess; readonly startedAt: number }
  | { readonly is: 'evicting' }
  | { readonly is: 'waiting'; readonly timer: Timer; readonly startedAt: number }
  | { readonly is: 'ended' };

class NodeSupervisor implements Supervisor {
  readonly ended: Promise<void>;
  readonly #options: SupervisorOptions;
  readonly #limits: ResolvedOptions<SupervisorOptionTable>;
  readonly #link: ControlLink;
  readonly #clock: Clock;
  readonly #log: Logger;
  #settle: () => void = () => {};
  #phase: Phase;
  #incarnation: string | undefined;
  #restarts = 0;
  #stopping = false;
  #killTimer: Timer | undefined;

  constructor(
    options: SupervisorOptions,
    limits: ResolvedOptions<SupervisorOptionTable>,
    link: ControlLink,
    { clock, log }: { readonly clock: Clock; readonly log: Logger },
  ) {
    this.#options = options;
    this.#limits = limits;
    this.#link = link;
    this.#clock = clock;
    this.#log = log;
    this.ended = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.#phase = this.#start();
  }

  get pid(): number | undefined {
    return this.#phase.is === 'running' ? this.#phase.child.pid : undefined;
  }

  get incarnation(): string | undefined {
    return this.#incarnation;
  }

  stop(): Promise<void> {
    if (this.#stopping) return this.ended;
    this.#stopping = true;
    const phase = this.#phase;
    if (phase.is === 'running') {
      phase.child.kill('SIGTERM');
      this.#killTimer = this.#clock.setTimer(this.#limits.drainMs, () => {
        this.#log.warn({ nodeId: this.#options.nodeId, pid: phase.child.pid }, 'the node did not stop in time and is killed');
        phase.child.kill('SIGKILL');
      });
    } else if (phase.is === 'waiting') {
      phase.timer.cancel();
      void this.#finish();
    }
    return this.ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #start(): Phase {
    const { start, nodeId } = this.#options;
    this.#incarnation = undefined;
    const child = typeof start === 'function' ? start() : spawnCommand(start);
    const startedAt = this.#clock.now();
    let over = false;
    const end = (code: number | null, signal: string | null): void => {
      if (over) return;
      over = true;
      void this.#onEnd({ code, signal }, startedAt);
    };
    child.on('message', (message) => {
      const incarnation = incarnationIn(message, nodeId);
      if (incarnation === undefined) return;
      if (over) void this.#evict(incarnation);
      else this.#incarnation = incarnation;
    });
    child.once('exit', end);
    child.on('error', (error) => {
      this.#log.error({ nodeId, reason: safeText(error) }, 'the process of a node could not be started or signalled');
      if (child.pid === undefined) end(null, null);
    });
    this.#log.info({ nodeId, pid: child.pid }, 'started the process of a node');
    return { is: 'running', child, startedAt };
  }

  async #onEnd(exit: { readonly code: number | null; readonly signal: string | null }, startedAt: number): Promise<void> {
    const endedAt = this.#clock.now();
    this.#phase = { is: 'evicting' };
    this.#killTimer?.cancel();
    const evicted = this.#incarnation !== undefined && (await this.#evict(this.#incarnation));
    const evictedAfterMs = evicted ? this.#clock.now() - endedAt : undefined;
    if (endedAt - startedAt >= this.#limits.steadyMs) this.#restarts = 0;
    const next = this.#next(exit.code);
    this.#log.info({ nodeId: this.#options.nodeId, ...exit, evictedAfterMs, next }, 'the process of a node has ended');
    this.#tell({ ...exit, evictedAfterMs, next });
    if (next === 'restart' && !this.#stopping) this.#restartLater();
    else await this.#finish();
  }

  #next(code: number | null): ChildExit['next'] {
    if (this.#stopping || code === 0) return 'ended';
    if (this.#restarts < this.#limits.restartsMax) return 'restart';
    this.#log.error({ nodeId: this.#options.nodeId, restarts: this.#restarts }, 'the node does not stay up; it is not started again');
    return 'gave_up';
  }

  #evict(incarnation: string): Promise<boolean> {
    const { nodeId } = this.#options;
    const eviction = {
      members: this.#link.members,
      nodeId,
      incarnation,
      clock: this.#clock,
      log: this.#log,
      limitMs: this.#limits.evictLimitMs,
    };
    return evictDead(eviction).catch((error: unknown) => {
      this.#log.error({ err: error, nodeId }, 'a dead node could not be evicted');
      return false;
    });
  }

  #tell(exit: ChildExit): void {
    try {
      this.#options.onExit?.(exit);
    } catch (error) {
      this.#log.error({ err: error }, 'onExit of the supervisor threw');
    }
  }

  #restartLater(): void {
    const { restartDelayMs, restartDelayMaxMs } = this.#limits;
    const delay = Math.min(restartDelayMaxMs, restartDelayMs * 2 ** Math.min(this.#restarts, 20));
    this.#restarts += 1;
    const timer = this.#clock.setTimer(delay, () => {
      try {
        this.#phase = this.#start();
      } catch (error) {
        this.#log.error({ err: error, nodeId: this.#options.nodeId }, 'the process of a node could not be started again');
        void this.#finish();
      }
    });
    this.#phase = { is: 'waiting', timer, startedAt: this.#clock.now() };
  }

  async #finish(): Promise<void> {
    this.#phase = { is: 'ended' };
    await this.#link.close();
    this.#settle();
  }
}

function spawnCommand({ command, args = [], env, cwd }: SupervisedCommand): ChildProcess {
  return spawn(command, [...args], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, ...env, [supervisedVariable]: '1' },
    ...(cwd === undefined ? {} : { cwd }),
  });
}
