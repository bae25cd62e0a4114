import type { Clock } from '../base/clock.ts';
import { LogLimiter, safeText } from '../base/log-text.ts';
import type { Logger } from '../base/log.ts';
import type { StreamHead } from '../events/commit.ts';
import type { DurableMetrics } from './durable-metrics.ts';
import type { Subject } from './journal.ts';

/** Where it is said that another owner has written: counted always, logged at a bounded rate, with both owners. */
export class FenceLog {
  readonly #log: Logger;
  readonly #limiter: LogLimiter;
  readonly #metrics: DurableMetrics;
  readonly #owner: string;
  readonly #onFenced: (shard: number, epoch: number) => void;

  /** `onFenced` hears the shard, and the epoch that was found above this node's own. */
  constructor(log: Logger, clock: Clock, metrics: DurableMetrics, owner: string, onFenced: (shard: number, epoch: number) => void) {
    this.#log = log;
    this.#limiter = new LogLimiter(clock);
    this.#metrics = metrics;
    this.#owner = owner;
    this.#onFenced = onFenced;
  }

  rejected({ stream, shard, epoch }: Subject, head: StreamHead): void {
    this.#metrics.fenceRejections.inc();
    this.#metrics.commit('fenced');
    this.#onFenced(shard, head.epoch);
    const leftOut = this.#limiter.allow(stream.type);
    if (leftOut === undefined) return;
    const about = { type: stream.type, key: safeText(stream.key), shard, ...(leftOut > 0 && { leftOut }) };
    const owners = { owner: this.#owner, epoch, laterOwner: safeText(head.owner, 160), laterEpoch: head.epoch };
    this.#log.warn({ ...about, ...owners }, 'a later owner of this shard has written; this node does not act for it any more');
  }
}
