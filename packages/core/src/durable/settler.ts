import type { Activation } from '../actor/activation.ts';
import { shardMoved } from '../actor/refusals.ts';
import type { Clock } from '../base/clock.ts';
import type { PerkeyError } from '../base/errors.ts';
import type { Commit, StreamHead } from '../events/commit.ts';
import { loadFailure } from './commit-errors.ts';
import type { DurableMetrics } from './durable-metrics.ts';
import type { FenceLog } from './fence-log.ts';
import type { FenceWriter } from './fence-writer.ts';
import type { Folding, HeldActor } from './held-actor.ts';
import type { Journal } from './journal.ts';
import { headOf } from './journal.ts';
import type { Keeping } from './keeping.ts';
import { pause } from './pause.ts';

const firstPauseMs = 5;
const pauseMsMax = 500;

/**
 * What became of a commit with a doubtful answer. `stored` and `not_stored` are for ever. With `failure` what came after could not be taken
 * into memory; of `not_stored` it is what the caller hears.
 */
export type Settled =
  | { readonly kind: 'stored'; readonly failure: PerkeyError | undefined }
  | { readonly kind: 'not_stored'; readonly failure: PerkeyError | undefined }
  | { readonly kind: 'unknown' };

export interface SettlerOptions {
  readonly clock: Clock;
  readonly journal: Journal;
  readonly keeping: Keeping;
  readonly fences: FenceWriter;
  readonly fenceLog: FenceLog;
  readonly metrics: DurableMetrics;
  readonly doubts: Map<string, number>;
}

/**
 * Finds out what became of a commit, and brings the actor up to what is stored.
 *
 * A record that stands behind the one that the commit expected is either the commit, or proves that it never will be stored: the log stores
 * no second record with that expectation. Where nothing stands there, a fence with the same expectation makes the proof.
 */
export class Settler {
  readonly #o: SettlerOptions;

  constructor(options: SettlerOptions) {
    this.#o = options;
  }

  /** Never rejects. `isUnknown`: the answer left it open; otherwise the log said that another record is in its place. */
  async settle(activation: Activation, held: HeldActor, id: string, isUnknown: boolean, endsAt: number): Promise<Settled> {
    const settled = await this.#settle(activation, held, id, endsAt);
    const { metrics } = this.#o;
    if (settled.kind === 'unknown') metrics.settled('never');
    else if (isUnknown) metrics.settled(settled.kind);
    return settled;
  }

  async #settle(activation: Activation, held: HeldActor, id: string, endsAt: number): Promise<Settled> {
    const { clock, keeping, doubts } = this.#o;
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMsMax, pauseMs * 2)) {
      const tail = await this.#tail(held, endsAt);
      if (tail !== undefined && tail.length > 0) {
        const found = keeping.find(tail, held.head, id);
        doubts.delete(activation.key);
        const failure = this.#takeIn(activation, held, tail);
        return found.kind === 'unclear' ? { kind: 'unknown' } : { kind: found.kind, failure };
      }
      if (tail !== undefined && (await this.#isFenced(activation, held))) {
        doubts.delete(activation.key);
        return { kind: 'not_stored', failure: undefined };
      }
      if (clock.now() >= endsAt || activation.status === 'gone') return { kind: 'unknown' };
      await pause(clock, pauseMs);
    }
  }

  async #isFenced(activation: Activation, held: HeldActor): Promise<boolean> {
    const { fences } = this.#o;
    const outcome = await fences.write(held, held.head, activation.state);
    if (outcome.kind !== 'appended') return false;
    held.head = outcome.head;
    return true;
  }

  /** What stands behind the head in memory; undefined where the log does not say. */
  async #tail(held: HeldActor, endsAt: number): Promise<readonly Commit[] | undefined> {
    const { clock, journal } = this.#o;
    const ending = new AbortController();
    const timer = clock.setTimer(Math.max(0, endsAt - clock.now()), () => ending.abort());
    const tail: Commit[] = [];
    try {
      for await (const commit of journal.read(held.subject.stream, held.head.sequence, ending.signal)) tail.push(commit);
    } catch {
      return undefined;
    } finally {
      timer.cancel();
    }
    return ending.signal.aborted ? undefined : tail;
  }

  /** In one step, so that nobody sees the actor half way. */
  #takeIn(activation: Activation, held: HeldActor, tail: readonly Commit[]): PerkeyError | undefined {
    const { keeping, fenceLog } = this.#o;
    const folding: Folding = { held, state: activation.state, version: held.head.version, epoch: held.head.epoch };
    try {
      for (const commit of tail) keeping.fold(folding, commit);
    } catch (thrown) {
      return loadFailure(thrown);
    }
    activation.state = folding.state;
    held.head = laterHead(held.head, tail);
    const { subject } = held;
    if (held.head.epoch <= subject.epoch) return undefined;
    fenceLog.rejected(subject, held.head);
    return shardMoved(subject.shard, undefined);
  }
}

/** The head after `tail`, which follows `head`. */
export function laterHead(head: StreamHead, tail: readonly Commit[]): StreamHead {
  const last = tail.at(-1);
  return last === undefined ? head : headOf(last);
}
