import type { OptionTable, ResolvedOptions } from '@perkey/core';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { helpText, readSettings } from './command-line.ts';
import { createLog } from './log.ts';

export interface Program<T extends OptionTable> {
  readonly usage: string;
  readonly settings: T;
  /** Default: those of the process. */
  readonly args?: readonly string[];
  /** What tells this process from others that write to the same log. */
  readonly named?: (settings: ResolvedOptions<T>) => Readonly<Record<string, unknown>>;
  /** How long a graceful end may take, before the process ends anyway. */
  readonly stopLimitMs: number;
  /** Puts what must be stopped on `running`. May resolve to what ends the program without a signal, and to what the log says then. */
  start(settings: ResolvedOptions<T>, log: Logger, running: AsyncDisposableStack): Promise<{ readonly ended?: Promise<string | void> }>;
}

/** A terminal's Ctrl-C reaches a program under npm twice: as a signal of its own, and passed on by npm. */
const sameSignalMs = 400;

/** Something went wrong inside, as sysexits.h has it. */
const brokenCode = 70;

/**
 * Runs a program from its settings to its exit code: 0, also after a signal; 1 for a failed start; 2 for a bad setting; 70 for an error that nobody
 * caught, after what was under way has ended.
 */
export async function run<T extends OptionTable & { readonly logLevel: unknown }>(program: Program<T>): Promise<never> {
  const settings = settingsOf(program);
  const log = await createLog((settings as { readonly logLevel: string }).logLevel);
  const running = new AsyncDisposableStack();
  const signal = firstSignal();
  let exitCode = 0;
  const broken = firstUncaught(log).then(() => {
    exitCode = brokenCode;
  });
  let lastWords = 'shutting down...';
  const started = program.start(settings, log, running);
  try {
    lastWords = (await Promise.race([started.then(({ ended }) => ended ?? signal), signal, broken])) ?? lastWords;
    // What is half started would escape the stack.
    await Promise.race([started.catch(() => undefined), delay(1_500)]);
  } catch (error) {
    console.error((error as Error).message);
    exitCode = 1;
  }
  log.info(program.named?.(settings) ?? {}, lastWords);
  setTimeout(() => {
    log.error('not everything stopped in time');
    process.exit(1);
  }, program.stopLimitMs).unref();
  await running.disposeAsync();
  return process.exit(exitCode);
}

function settingsOf<T extends OptionTable>({ usage, settings: table, args }: Program<T>): ResolvedOptions<T> {
  try {
    const settings = readSettings(table, args ?? process.argv.slice(2), process.env);
    if (settings !== undefined) return settings;
  } catch (error) {
    console.error((error as Error).message);
    process.exit(2);
  }
  process.stdout.write(helpText(usage, table));
  return process.exit(0);
}

/** Resolves at the first error, or rejection, that nobody has caught; each of them is logged. */
function firstUncaught(log: Logger): Promise<void> {
  return new Promise((resolve) => {
    process.on('uncaughtException', (err, origin) => {
      log.fatal({ err, origin }, 'an error that nobody caught');
      resolve();
    });
  });
}

/** Resolves at the first SIGINT or SIGTERM; a second one ends the process at once. */
function firstSignal(): Promise<void> {
  return new Promise((resolve) => {
    let first = Number.POSITIVE_INFINITY;
    const onSignal = (_name: string, number: number): void => {
      const now = performance.now();
      if (first === Number.POSITIVE_INFINITY) {
        first = now;
        resolve();
      } else if (now - first > sameSignalMs) process.exit(128 + number);
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
  });
}
