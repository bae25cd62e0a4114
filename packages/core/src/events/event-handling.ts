import type { Clock } from '../base/clock.ts';
import { describeThrown } from '../base/errors.ts';
import { LogLimiter, safeText } from '../base/log-text.ts';
import type { Logger } from '../base/log.ts';
import { pause } from '../base/pause.ts';
import { type DeadLetters, deadLettersMax } from './dead-letters.ts';
import type { Projection, ProjectionContext } from './projection.ts';
import type { ProjectionMetrics } from './projection-metrics.ts';
import type { StoredEvent } from './stored-event.ts';

export interface EventHandlingOptions {
  readonly projection: Projection;
  readonly generation: number;
  /** Events of a higher position came after the generation began. */
  readonly liveAfter: number;
  readonly deadLetters: DeadLetters;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: ProjectionMetrics;
  readonly signal: AbortSignal;
}

/** What is to be done about an event whose handler threw: try it again, go on without it, or stand still. */
export type Verdict = 'again' | 'next' | 'stop';

interface Context<Tx> {
  readonly projection: string;
  readonly generation: number;
  live: boolean;
  tx: Tx;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Calls the handler of a projection, and decides what becomes of an event that it does not take. */
export class EventHandling {
  readonly #o: EventHandlingOptions;
  readonly #limiter: LogLimiter;
  readonly #context: Context<unknown>;

  constructor(options: EventHandlingOptions) {
    this.#o = options;
    this.#limiter = new LogLimiter(options.clock);
    const { projection, generation, log, signal } = options;
    this.#context = { projection: projection.name, generation, live: false, tx: undefined, log, signal };
  }

  call(event: StoredEvent, tx: unknown): unknown {
    const context = this.#context;
    context.live = event.position > this.#o.liveAfter;
    context.tx = tx;
    return this.#o.projection.handle(event, context satisfies ProjectionContext<unknown>);
  }

  /** `attempt` counts from 1. Waits before it says `again`. Rejects with `store.unavailable` where a dead letter could not be put away. */
  async failed(event: StoredEvent, thrown: unknown, attempt: number): Promise<Verdict> {
    const { projection, clock, metrics, signal } = this.#o;
    const { onError } = projection;
    metrics.failures.inc();
    this.#say(event, thrown, attempt);
    if (signal.aborted || onError === 'stop') return 'stop';
    if (onError === 'skip') {
      metrics.skipped.inc();
      return 'next';
    }
    if (attempt >= onError.attemptsMax) return onError.afterwards === 'stop' ? 'stop' : this.#putAside(event, thrown);
    await pause(clock, Math.min(onError.delayMaxMs, onError.delayMs * 2 ** (attempt - 1)), signal);
    return signal.aborted ? 'stop' : 'again';
  }

  async #putAside(event: StoredEvent, thrown: unknown): Promise<Verdict> {
    const { projection, deadLetters, clock, metrics, log } = this.#o;
    if (!(await deadLetters.put(projection.name, event, thrown, clock.wall()))) {
      log.error({ projection: projection.name, deadLettersMax }, 'the projection has too many dead letters; it stops');
      return 'stop';
    }
    metrics.deadLetters.inc();
    return 'next';
  }

  #say(event: StoredEvent, thrown: unknown, attempt: number): void {
    const leftOut = this.#limiter.allow('handler');
    if (leftOut === undefined) return;
    const { name } = this.#o.projection;
    const { position, type, key, event: eventName, id } = event;
    const err = thrown instanceof Error ? thrown : { message: safeText(describeThrown(thrown)) };
    const fields = { projection: name, position, type: safeText(type), key: safeText(key), event: safeText(eventName), id: safeText(id) };
    this.#o.log.error({ ...fields, attempt, err, leftOut }, 'the handler of a projection threw');
  }
}
