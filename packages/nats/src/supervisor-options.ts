import type { Clock, Logger, Metrics, OptionTable, Random } from '@perkey/core';
import type { ChildProcess } from 'node:child_process';
import type { NatsOptions } from './options.ts';

type NumberOption = Extract<OptionTable[string], { readonly kind: 'integer' | 'number' }>;
export type SupervisorOptionTable = Readonly<Record<keyof SupervisorLimits, NumberOption>>;

export const supervisorOptionTable: SupervisorOptionTable = {
  restartDelayMs: {
    kind: 'integer',
    default: 100,
    min: 0,
    max: 600_000,
    unit: 'ms',
    help: 'Wait before the first restart; doubled for each further one.',
  },
  restartDelayMaxMs: { kind: 'integer', default: 5_000, min: 0, max: 600_000, unit: 'ms', help: 'The longest wait before a restart.' },
  steadyMs: {
    kind: 'integer',
    default: 30_000,
    min: 1,
    max: 86_400_000,
    unit: 'ms',
    help: 'A child that ran for so long starts the count of restarts anew.',
  },
  restartsMax: {
    kind: 'integer',
    default: 20,
    min: 0,
    max: 1_000_000,
    help: 'So many restarts without a steady run, and the supervisor gives up.',
  },
  drainMs: {
    kind: 'integer',
    default: 15_000,
    min: 0,
    max: 600_000,
    unit: 'ms',
    help: 'How long a child that is told to stop may take before it is killed.',
  },
  evictLimitMs: {
    kind: 'integer',
    default: 10_000,
    min: 0,
    max: 600_000,
    unit: 'ms',
    help: 'How long to go on trying to evict a dead child while the store is unavailable.',
  },
  connectTimeoutMs: {
    kind: 'integer',
    default: 30_000,
    min: 1,
    max: 600_000,
    unit: 'ms',
    help: 'How long the first connection to NATS may take.',
  },
};

/** A program to run; it inherits this process's environment and standard streams. */
export interface SupervisedCommand {
  readonly command: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export interface ChildExit {
  readonly code: number | null;
  readonly signal: string | null;
  /** From the end of the process to its eviction; `undefined` where there was nothing to evict or it could not be done. */
  readonly evictedAfterMs: number | undefined;
  /** What comes next. `ended`: it exited with code 0 by itself, or the supervisor was stopped. */
  readonly next: 'restart' | 'ended' | 'gave_up';
}

/** What each number is, and its bounds: `supervisorOptionTable`. */
export interface SupervisorLimits {
  readonly restartDelayMs?: number | undefined;
  readonly restartDelayMaxMs?: number | undefined;
  readonly steadyMs?: number | undefined;
  readonly restartsMax?: number | undefined;
  readonly drainMs?: number | undefined;
  readonly evictLimitMs?: number | undefined;
  readonly connectTimeoutMs?: number | undefined;
}

export interface SupervisorOptions extends SupervisorLimits {
  readonly cluster: string;
  readonly nats?: NatsOptions;
  readonly nodeId: string;
  /**
   * How to start the node. A function must start it with an IPC channel, and with `PERKEY_SUPERVISED=1` in its environment; it is called
   * again for each restart.
   */
  readonly start: SupervisedCommand | (() => ChildProcess);
  readonly log?: Logger | undefined;
  readonly metrics?: Metrics | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
  readonly onExit?: ((exit: ChildExit) => void) | undefined;
}

export interface Supervisor extends AsyncDisposable {
  /** Of the child that runs now. */
  readonly pid: number | undefined;
  /** What the child last told. */
  readonly incarnation: string | undefined;
  /** Resolves when no child runs and none will be started any more. */
  readonly ended: Promise<void>;
  /** SIGTERM to the child, SIGKILL after `drainMs`; resolves when it has ended and its incarnation is evicted. Idempotent. */
  stop(): Promise<void>;
}
