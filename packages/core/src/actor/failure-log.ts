import type { Clock } from '../base/clock.ts';
import { safeText, LogLimiter } from '../base/log-text.ts';
import { childLogger } from '../base/log.ts';
import type { Logger } from '../base/log.ts';
import type { Activation } from './activation.ts';
import type { ActorMetrics } from './actor-metrics.ts';

/** Where the runtime says what went wrong in the code of actors: counted always, logged at a bounded rate for each type and place. */
export class FailureLog {
  readonly #log: Logger;
  readonly #limiter: LogLimiter;
  readonly #metrics: ActorMetrics;

  constructor(log: Logger, clock: Clock, metrics: ActorMetrics) {
    this.#log = log;
    this.#limiter = new LogLimiter(clock);
    this.#metrics = metrics;
  }

  /** The logger that an actor's own code gets. */
  logOf(activation: Activation): Logger {
    return childLogger(this.#log, { type: activation.type.name, key: safeText(activation.key) });
  }

  /** Something undeclared was thrown by a handler, timer, hook or background task; `where` is its name in the definition. */
  threw(activation: Activation, where: string, thrown: unknown): void {
    this.#metrics.failures(activation.type.name).inc();
    this.#write('error', activation, where, { err: asError(thrown) }, 'actor code threw');
  }

  note(activation: Activation, where: string, fields: object, message: string): void {
    this.#write('warn', activation, where, fields, message);
  }

  #write(level: 'warn' | 'error', activation: Activation, where: string, fields: object, message: string): void {
    const type = activation.type.name;
    const leftOut = this.#limiter.allow(`${message} ${type}.${where}`);
    if (leftOut === undefined) return;
    const about = { type, key: safeText(activation.key), where };
    this.#log[level](leftOut === 0 ? { ...about, ...fields } : { ...about, leftOut, ...fields }, message);
  }
}

function asError(thrown: unknown): unknown {
  return thrown instanceof Error ? thrown : { message: safeText(thrown) };
}
