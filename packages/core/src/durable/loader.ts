import type { Activation } from '../actor/activation.ts';
import { shardMoved } from '../actor/refusals.ts';
import type { Clock } from '../base/clock.ts';
import { digestHex } from '../base/digest.ts';
import { PerkeyError } from '../base/errors.ts';
import type { Guard } from '../contract/calls.ts';
import type { Commit } from '../events/commit.ts';
import type { BooksLimits } from './books.ts';
import { Books } from './books.ts';
import { loadFailure, unavailable } from './commit-errors.ts';
import type { DurableMetrics } from './durable-metrics.ts';
import type { FenceLog } from './fence-log.ts';
import type { FenceWriter } from './fence-writer.ts';
import { type Folding, HeldActor } from './held-actor.ts';
import { headOf, type Journal } from './journal.ts';
import type { Keeping } from './keeping.ts';
import { pause } from './pause.ts';

export interface LoaderOptions {
  readonly clock: Clock;
  readonly guard: Guard;
  readonly journal: Journal;
  readonly keeping: Keeping;
  readonly fences: FenceWriter;
  readonly fenceLog: FenceLog;
  readonly metrics: DurableMetrics;
  readonly limits: BooksLimits;
  readonly timeoutMs: number;
  readonly doubts: Map<string, number>;
  /** Says what could not be read, for people. */
  readonly onFailure: (activation: Activation, error: PerkeyError) => void;
}

/**
 * Brings actors into memory: what is stored, folded.
 *
 * I18: before its first turn here, a stream that exists carries this owner's epoch, so that nothing that a former owner sent can still be
 * stored; the same where this node itself does not know what became of an earlier append.
 */
export class Loader {
  readonly #o: LoaderOptions;

  constructor(options: LoaderOptions) {
    this.#o = options;
  }

  /** Rejects with a `PerkeyError` that says that nothing was executed. Does not change the activation. */
  async load(activation: Activation): Promise<Folding> {
    const { clock, metrics, timeoutMs, onFailure } = this.#o;
    const startedAt = clock.now();
    const ending = new AbortController();
    const timer = clock.setTimer(timeoutMs, () => ending.abort());
    try {
      const folding = await this.#load(activation, ending.signal);
      metrics.loadSeconds.observe((clock.now() - startedAt) / 1_000);
      return folding;
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

  async #load(activation: Activation, signal: AbortSignal): Promise<Folding> {
    const { keeping, limits, clock, guard } = this.#o;
    const { slot, type, key } = activation;
    const subject = { stream: { type: type.name, key }, shard: slot.shard, epoch: slot.epoch };
    const anew = (): Folding => ({ held: new HeldActor(subject, new Books(limits)), state: undefined, version: 0, epoch: 0 });
    let folding = anew();
    let isShortened = await keeping.begin(folding, key, true);
    for (let pauseMs = 5; ; pauseMs = Math.min(500, pauseMs * 2)) {
      if (!(await this.#foldAll(folding, isShortened, signal))) {
        folding = anew();
        isShortened = await keeping.begin(folding, key, false);
        continue;
      }
      isShortened = false;
      if (signal.aborted) throw unavailable('the history could not be read in time');
      if (folding.held.head.epoch > subject.epoch) {
        this.#o.fenceLog.rejected(subject, folding.held.head);
        throw shardMoved(subject.shard, undefined);
      }
      if (!guard.mayAct(clock.now())) throw shardMoved(subject.shard, undefined);
      if (await this.#isSafe(activation, folding)) return folding;
      await pause(clock, pauseMs);
      if (signal.aborted) throw unavailable('the store did not take the fence of a new owner in time');
    }
  }

  /** True when nothing can come into the stream any more that this owner did not send from here on. */
  async #isSafe({ key }: Activation, { held, state }: Folding): Promise<boolean> {
    const { doubts, fences } = this.#o;
    const { head, subject } = held;
    const doubt = doubts.get(key);
    const isDoubtful = doubt !== undefined && doubt === head.sequence;
    const isOthers = head.sequence > 0 && head.epoch < subject.epoch;
    if (!head.ended && (isDoubtful || isOthers)) {
      const outcome = await fences.write(held, head, state);
      if (outcome.kind !== 'appended') return false;
      held.head = outcome.head;
    }
    if (doubts.get(key) === doubt) doubts.delete(key);
    return true;
  }

  /** False where the history does not hold the record that it was to begin behind. */
  async #foldAll(folding: Folding, isShortened: boolean, signal: AbortSignal): Promise<boolean> {
    const { journal, keeping } = this.#o;
    const { held } = folding;
    const { sequence, hash } = held.head;
    let isKnown = !isShortened;
    let last: Commit | undefined;
    for await (const commit of journal.read(held.subject.stream, isKnown ? sequence : sequence - 1, signal)) {
      if (!isKnown) {
        if (commit.sequence !== sequence || digestHex(commit.body) !== hash) return false;
        isKnown = true;
        continue;
      }
      keeping.fold(folding, commit);
      last = commit;
    }
    if (last !== undefined) held.head = headOf(last);
    return isKnown || signal.aborted;
  }
}

/** Throws `stream.corrupt` for a record that cannot follow the one before it. */
export function follow(folding: Folding, commit: Commit): void {
  const { version, epoch, events, sequence } = commit;
  if (version - events.length !== folding.version || epoch < folding.epoch) {
    throw new PerkeyError('stream.corrupt', `record ${sequence} does not follow the one before it`);
  }
  folding.version = version;
  folding.epoch = epoch;
}
