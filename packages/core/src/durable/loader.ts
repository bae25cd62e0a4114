import type { Activation } from '../actor/activation.ts';
import { shardMoved } from '../actor/refusals.ts';
import type { Clock } from '../base/clock.ts';
import type { PerkeyError } from '../base/errors.ts';
import { settlePauses } from '../events/settle.ts';
import type { Barriers } from './barriers.ts';
import { loadFailure, unavailable } from './commit-errors.ts';
import type { Doubts } from './doubts.ts';
import type { DurableMetrics } from './durable-metrics.ts';
import type { FenceLog } from './fence-log.ts';
import type { Keeping, Stored } from './keeping.ts';

export interface LoaderOptions {
  readonly clock: Clock;
  readonly mayAct: () => boolean;
  readonly keeping: Keeping;
  readonly fenceLog: FenceLog;
  readonly metrics: DurableMetrics;
  /** Node and incarnation. */
  readonly owner: string;
  readonly timeoutMs: number;
  readonly doubts: Doubts;
  readonly barriers: Barriers;
  /** Says what could not be read, for people. */
  readonly onFailure: (activation: Activation, error: PerkeyError) => void;
}

/**
 * Brings actors into memory.
 *
 * I18: before its first turn here, a stream that exists carries this owner's epoch, so that nothing that a former owner sent can still be
 * stored; the same where this node itself does not know what became of an earlier append, or knows of more than was read. The record that carries
 * it was compared with what had been read, so that what had been read is proved to be the newest. A store without room takes none, and the actor is not loaded: reads
 * without that proof would rest on leases alone.
 *
 * A stream without records gets none. It is taken for empty on the word of a log that has reached a barrier, which was set after this owner
 * claimed the shard: whatever a former owner was told while it could still answer lies below. What a former owner had sent and was not told of
 * may come in later, as the first record; it answered nobody, and the first append here meets it.
 */
export class Loader {
  readonly #o: LoaderOptions;

  constructor(options: LoaderOptions) {
    this.#o = options;
  }

  /** Rejects with a `PerkeyError` that says that nothing was executed. Does not change the activation. */
  async load(activation: Activation): Promise<Stored> {
    const { clock, metrics, timeoutMs, onFailure } = this.#o;
    const startedAt = clock.now();
    const ending = new AbortController();
    const timer = clock.setTimer(timeoutMs, () => ending.abort());
    try {
      const stored = await this.#load(activation, ending.signal, startedAt + timeoutMs);
      metrics.loadSeconds.observe((clock.now() - startedAt) / 1_000);
      return stored;
    } catch (thrown) {
      const error = loadFailure(thrown);
      if (error.code !== 'shard.moved') {
        metrics.loadFailures.inc();
        onFailure(activation, error);
      }
      throw error;
    } finally {
      timer.cancel();
    }
  }

  async #load(activation: Activation, signal: AbortSignal, deadline: number): Promise<Stored> {
    const { keeping, clock, mayAct, fenceLog, owner, barriers } = this.#o;
    const { slot, key } = activation;
    const author = { epoch: slot.epoch, owner };
    const reached = (): Promise<number> => barriers.of(slot.shard, author.epoch);
    for await (const _ of settlePauses(clock, deadline)) {
      const stored = await keeping.load(activation, author, signal, reached);
      if (stored.held.head.epoch > author.epoch) {
        fenceLog.rejected(stored.held);
        throw shardMoved(slot.shard, undefined);
      }
      if (!mayAct()) throw shardMoved(slot.shard, undefined);
      if (await this.#isSafe(key, stored)) return stored;
    }
    throw unavailable('the store did not take the fence of a new owner in time');
  }

  /** True when nothing can come into the stream any more that this owner did not send from here on. */
  async #isSafe(key: string, stored: Stored): Promise<boolean> {
    const { doubts, keeping, metrics } = this.#o;
    const { head, author } = stored.held;
    const doubt = doubts.of(key);
    const isOthers = head.sequence > 0 && head.epoch < author.epoch;
    if (!head.ended && (isOthers || doubts.isDoubtful(key, head.sequence))) {
      const result = await keeping.fence(stored);
      if (result.kind === 'refused' && result.error.code === 'store.full') throw result.error;
      if (result.kind !== 'appended') return false;
      metrics.fences.inc();
      stored.held.head = result.head;
      if (doubt !== undefined) doubts.end(key, doubt);
    } else if (doubt !== undefined) doubts.seen(key, doubt, head.sequence);
    return true;
  }
}
