import type { Clock } from '../base/clock.ts';
import { LogLimiter, safeText } from '../base/log-text.ts';
import type { Logger } from '../base/log.ts';
import type { DurableMetrics } from './durable-metrics.ts';
import type { HeldActor } from './held-actor.ts';

/** Where it is said that another owner has written: counted always, logged at a bounded rate, with both owners. */
export class FenceLog {
  readonly #log: Logger;
  readonly #limiter: LogLimiter;
  readonly #metrics: DurableMetrics;
  readonly #onFenced: (shard: number, epoch: number) => void;

  /** `onFenced` hears the shard, and the epoch that was found above this node's own. */
  constructor(log: Logger, clock: Clock, metrics: DurableMetrics, onFenced: (shard: number, epoch: number) => void) {
    this.#log = log;
    this.#limiter = new LogLimiter(clock);
    this.#metrics = metrics;
    this.#onFenced = onFenced;
  }

  rejected({ stream, shard, author, head }: HeldActor): void {
    this.#metrics.fenceRejections.inc();
    this.#onFenced(shard, head.epoch);
    const leftOut = this.#limiter.allow(stream.type);
    if (leftOut === undefined) return;
    const about = { type: stream.type, key: safeText(stream.key), shard, ...(leftOut > 0 && { leftOut }) };
    const owners = { owner: author.owner, epoch: author.epoch, laterOwner: safeText(head.owner, 160), laterEpoch: head.epoch };
    this.#log.warn({ ...about, ...owners }, 'a later owner of this shard has written; this node does not act for it any more');
  }
}
