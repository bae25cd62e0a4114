import { shardMoved } from '../../actor/refusals.ts';
import type { Clock } from '../../base/clock.ts';
import { PerkeyError } from '../../base/errors.ts';
import type { Counter } from '../../base/metrics.ts';
import type { StreamName } from '../../contract/commit-log.ts';
import type { KeptRecords } from '../../contract/store.ts';
import { settlePauses } from '../../events/settle.ts';
import { unavailable } from '../commit-errors.ts';
import { readWake, wakeKey, writtenWake } from './wake.ts';

export interface WakeRecordParts {
  readonly records: KeptRecords;
  readonly clock: Clock;
  /** How long a store that does not answer is asked again before a commit is refused. */
  readonly patienceMs: number;
  readonly writes: Counter;
  /** The record was written under a later epoch. */
  readonly onFenced: (shard: number, epoch: number) => void;
}

interface Known {
  readonly revision: number;
  readonly dueAt: number;
}

/**
 * The wake record of one actor, as the owner of its shard under one epoch keeps it.
 *
 * Invariant: for each stream whose books hold a message or a reminder there is a record that is due no later than the first of them.
 * - It is there before the commit that makes it necessary. A commit rests only on a revision that its own author wrote under its own epoch: what
 *   others still have on its way, be it a later due time or a removal, names an older revision and comes to nothing.
 * - It is removed, or set to a later time, only up to a revision that was there when nothing that is stored or on its way needed more.
 * - A record of a higher epoch is left alone. One that nobody needs wakes an actor for nothing, and does no other harm.
 */
export class WakeRecord {
  readonly #parts: WakeRecordParts;
  readonly #shard: number;
  readonly #epoch: number;
  readonly #stream: StreamName;
  readonly #key: string;
  /** What this object wrote; undefined while something else may be there. */
  #known: Known | undefined = undefined;
  /** One after the other. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: WakeRecordParts, shard: number, epoch: number, stream: StreamName) {
    this.#parts = parts;
    this.#shard = shard;
    this.#epoch = epoch;
    this.#stream = stream;
    this.#key = wakeKey(shard, stream);
  }

  /** A commit that makes it necessary to be woken at `dueAt` may be sent. */
  covers(dueAt: number): boolean {
    return this.#known !== undefined && this.#known.dueAt <= dueAt;
  }

  isExactly(dueAt: number): boolean {
    return this.#known?.dueAt === dueAt;
  }

  /** Resolves when a record that is due no later than `dueAt` is there. Rejects with `store.unavailable` or `shard.moved`, as not executed. */
  cover(dueAt: number): Promise<void> {
    return this.#queue(() => this.#cover(dueAt));
  }

  /**
   * Brings the record to what is needed, Infinity for nothing. Does nothing where `mayTidy`, asked in the step in which the store is, says no.
   * Rejects with `store.unavailable`; whether it was done is unknown then.
   */
  tidy(need: number, mayTidy: () => boolean): Promise<void> {
    return this.#queue(() => this.#tidy(need, mayTidy));
  }

  #queue(work: () => Promise<void>): Promise<void> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }

  async #cover(dueAt: number): Promise<void> {
    const { clock, patienceMs } = this.#parts;
    let expected: Known | undefined = this.#known;
    let last: unknown;
    for await (const _ of settlePauses(clock, clock.now() + patienceMs)) {
      if (this.covers(dueAt)) return;
      try {
        if (await this.#write(Math.min(dueAt, expected?.dueAt ?? dueAt), expected?.revision ?? 0)) return;
        this.#known = undefined;
        expected = await this.#found();
      } catch (thrown) {
        this.#known = undefined;
        if (thrown instanceof PerkeyError && thrown.code === 'shard.moved') throw thrown;
        last = thrown;
      }
    }
    throw unavailable(`the record by which the actor is woken could not be written${last instanceof Error ? `: ${last.message}` : ''}`);
  }

  async #tidy(need: number, mayTidy: () => boolean): Promise<void> {
    const { records } = this.#parts;
    const there = this.#known ?? (await this.#found());
    if (!mayTidy()) return;
    this.#known = undefined;
    if (need !== Infinity) await this.#write(need, there?.revision ?? 0);
    else if (there !== undefined) await records.forget(this.#key, there.revision);
  }

  async #write(dueAt: number, expectedRevision: number): Promise<boolean> {
    const { records, writes } = this.#parts;
    const value = writtenWake({ ...this.#stream, dueAt, epoch: this.#epoch });
    const outcome = await records.write(this.#key, value, expectedRevision);
    writes.inc();
    if (outcome.applied) this.#known = { revision: outcome.revision, dueAt };
    return outcome.applied;
  }

  /** Throws `shard.moved` for a record of a later owner. */
  async #found(): Promise<Known | undefined> {
    const record = await this.#parts.records.read(this.#key);
    if (record === undefined) return undefined;
    const wake = readWake(record.value);
    if (wake !== undefined && wake.epoch > this.#epoch) {
      this.#parts.onFenced(this.#shard, wake.epoch);
      throw shardMoved(this.#shard, undefined);
    }
    return { revision: record.revision, dueAt: wake?.dueAt ?? 0 };
  }
}
