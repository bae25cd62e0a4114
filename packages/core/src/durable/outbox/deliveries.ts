import type { Clock } from '../../base/clock.ts';
import { LogLimiter, safeText } from '../../base/log-text.ts';
import type { Logger } from '../../base/log.ts';
import { doneWithin } from '../../base/pause.ts';
import type { PendingMessage } from '../../events/bookkeeping.ts';
import type { HeldActor } from '../held-actor.ts';
import type { Duty } from '../wakes/duty.ts';
import type { WakeMetrics } from '../wakes/wake-metrics.ts';
import type { WakeSettings } from '../wakes/settings.ts';
import { type Courier, isPointless } from './courier.ts';
import type { DeadMessages } from './dead-messages.ts';

/** So long a shard that leaves waits for deliveries under way. The next owner repeats what was given up, under the same id. */
const leaveMs = 100;

/** Those of one shard. */
interface UnderWay {
  readonly ended: Set<Promise<void>>;
  /** Aborts when they are given up. */
  readonly leaving: AbortController;
}

export interface DeliveriesOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly settings: WakeSettings;
  readonly metrics: WakeMetrics;
  readonly courier: Courier;
  readonly dead: DeadMessages;
  readonly mayAct: () => boolean;
  readonly backoffMs: (tries: number) => number;
  /** A delivery has ended. */
  readonly onEnd: (duty: Duty) => void;
}

/**
 * The messages of an actor are delivered one after the other, in the order in which they were committed. One is left behind only when its receiver has
 * acknowledged it, or when it is in the store as a dead letter.
 */
export class Deliveries {
  readonly #o: DeliveriesOptions;
  readonly #limiter: LogLimiter;
  readonly #underWay = new Map<number, UnderWay>();

  constructor(options: DeliveriesOptions) {
    this.#o = options;
    this.#limiter = new LogLimiter(options.clock);
  }

  /** When the actor's next message may be delivered, monotonic ms: a time that has passed for at once, Infinity for never. */
  nextAt(duty: Duty, held: HeldActor): number {
    const hasNext = !duty.isDelivering && held.books.nextPending(held.deliveredTo) !== undefined;
    return hasNext ? duty.delivery.againAt : Infinity;
  }

  /** To be called when it is time. */
  begin(duty: Duty, held: HeldActor): void {
    const message = held.books.nextPending(held.deliveredTo);
    if (message === undefined) throw new TypeError('there is no message to be delivered');
    duty.isDelivering = true;
    const ofShard = this.#underWay.get(duty.shard) ?? { ended: new Set(), leaving: new AbortController() };
    this.#underWay.set(duty.shard, ofShard);
    const delivery = this.#deliver(duty, message, ofShard.leaving.signal).finally(() => {
      ofShard.ended.delete(delivery);
      duty.isDelivering = false;
      this.#o.onEnd(duty);
    });
    ofShard.ended.add(delivery);
  }

  /**
   * Resolves when those of the shard have ended that are under way now. Those that take long are given up: their receivers may be in shards that
   * leave too, and wait for deliveries of their own. Never rejects.
   */
  async leave(shard: number): Promise<void> {
    const ofShard = this.#underWay.get(shard);
    if (ofShard === undefined) return;
    this.#underWay.delete(shard);
    const ended = Promise.all(ofShard.ended);
    if (await doneWithin(this.#o.clock, leaveMs, ended)) return;
    ofShard.leaving.abort();
    await ended;
  }

  /** Never rejects. */
  async #deliver(duty: Duty, message: PendingMessage, leaving: AbortSignal): Promise<void> {
    const { clock, settings, metrics, courier, mayAct, backoffMs } = this.#o;
    const { delivery, stream } = duty;
    try {
      await courier.deliver(stream, message, leaving);
      duty.delivered(message.number, clock.now());
    } catch (thrown) {
      metrics.outboxRetries.inc();
      delivery.count += 1;
      delivery.againAt = clock.now() + backoffMs(delivery.count);
      const isOver = isPointless(thrown) || delivery.count >= settings.outboxAttemptsMax;
      if (isOver && !duty.isGone && mayAct()) await this.#putAside(duty, message, thrown);
    }
  }

  async #putAside(duty: Duty, message: PendingMessage, thrown: unknown): Promise<void> {
    const { clock, dead, metrics } = this.#o;
    const { delivery, stream, shard } = duty;
    const about = { type: stream.type, key: safeText(stream.key), number: message.number, tries: delivery.count };
    try {
      await dead.add(shard, stream, message, delivery.count, thrown, clock.wall());
    } catch (err) {
      this.#warn('not stored', { ...about, err }, 'a dead letter could not be stored yet; the outbox of its actor waits');
      return;
    }
    metrics.outboxDead.inc();
    this.#warn('put aside', { ...about, err: thrown }, 'an outbox message was put aside as a dead letter; node.deadMessages() lists it');
    delivery.againAt = 0;
    duty.delivered(message.number, clock.now());
  }

  #warn(cause: string, fields: Readonly<Record<string, unknown>>, text: string): void {
    const leftOut = this.#limiter.allow(cause);
    if (leftOut !== undefined) this.#o.log.warn({ ...fields, leftOut }, text);
  }
}
