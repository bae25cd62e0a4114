import { systemClock } from '../base/clock.ts';

/** What a timeline asks of each clock that shares it. */
export interface TimelineMember {
  /** False while the process is frozen or dead: nothing of it runs. */
  readonly running: boolean;
  /** When its earliest timer fires, in true ms, and the timer's number; undefined without timers. */
  nextDue(): { readonly trueMs: number; readonly sequence: number } | undefined;
  /** Fires the earliest timer. */
  fireNext(): void;
}

interface Deferred {
  readonly owner: TimelineMember;
  readonly run: () => void;
}

/** Steps that may happen without time passing, before it is called a loop. */
const stepsAtOneInstantMax = 200_000;

/**
 * Resolves when the queue of microtasks is empty. Only a real turn of the event loop proves that; it makes nothing depend on real time.
 */
function microtasksDone(): Promise<void> {
  return new Promise((resolve) => {
    systemClock.defer(resolve);
  });
}

/** The true time that a set of virtual clocks shares, and what is to run on it. One step at a time, always in the same order. */
export class Timeline {
  #nowMs = 0;
  #sequence = 0;
  #moving = false;
  #stepsAtThisInstant = 0;
  #deferred: Deferred[] = [];
  #thrown: { readonly error: unknown } | undefined;
  readonly #members: TimelineMember[] = [];

  get nowMs(): number {
    return this.#nowMs;
  }

  join(member: TimelineMember): void {
    this.#members.push(member);
  }

  nextSequence(): number {
    this.#sequence += 1;
    return this.#sequence;
  }

  defer(owner: TimelineMember, run: () => void): void {
    this.#deferred.push({ owner, run });
  }

  deferredOf(owner: TimelineMember): number {
    return this.#deferred.filter((entry) => entry.owner === owner).length;
  }

  forgetDeferred(owner: TimelineMember): void {
    this.#deferred = this.#deferred.filter((entry) => entry.owner !== owner);
  }

  /**
   * Moves to `targetMs`, running what is due on the way; stops early, with `true`, as soon as `done` says so.
   * Rejects with the first error that a callback threw.
   */
  async moveTo(targetMs: number, done: () => boolean = () => false): Promise<boolean> {
    if (this.#moving) throw new Error('virtual time is already moving: await the previous advance, settle, until or run first');
    this.#moving = true;
    try {
      for (;;) {
        await this.#settleDeferred();
        if (done()) return true;
        const next = this.#earliest(targetMs);
        if (next === undefined) break;
        this.#setNow(next.trueMs);
        this.#step(() => next.member.fireNext());
      }
      this.#setNow(targetMs);
      return done();
    } finally {
      this.#moving = false;
    }
  }

  #setNow(trueMs: number): void {
    if (trueMs <= this.#nowMs) return;
    this.#nowMs = trueMs;
    this.#stepsAtThisInstant = 0;
  }

  #earliest(limitMs: number): { member: TimelineMember; trueMs: number } | undefined {
    let best: { member: TimelineMember; trueMs: number; sequence: number } | undefined;
    for (const member of this.#members) {
      const due = member.running ? member.nextDue() : undefined;
      if (due === undefined) continue;
      const trueMs = Math.max(due.trueMs, this.#nowMs);
      if (trueMs > limitMs) continue;
      const isEarlier = best === undefined || trueMs < best.trueMs || (trueMs === best.trueMs && due.sequence < best.sequence);
      if (isEarlier) best = { member, trueMs, sequence: due.sequence };
    }
    return best;
  }

  /** Runs microtasks and deferred callbacks until there are none. Microtasks run to their end after each callback, as in a real loop. */
  async #settleDeferred(): Promise<void> {
    for (;;) {
      await microtasksDone();
      this.#throwWhatWasThrown();
      const batch = this.#takeRunnable();
      if (batch.length === 0) return;
      const heldBack: Deferred[] = [];
      for (const entry of batch) {
        systemClock.defer(() => {
          if (entry.owner.running) this.#step(entry.run);
          else heldBack.push(entry);
        });
      }
      await microtasksDone();
      if (heldBack.length > 0) this.#deferred = [...heldBack, ...this.#deferred];
    }
  }

  #takeRunnable(): Deferred[] {
    const batch = this.#deferred.filter((entry) => entry.owner.running);
    if (batch.length > 0) this.#deferred = this.#deferred.filter((entry) => !entry.owner.running);
    return batch;
  }

  #step(run: () => void): void {
    this.#stepsAtThisInstant += 1;
    try {
      if (this.#stepsAtThisInstant > stepsAtOneInstantMax) {
        throw new Error(`virtual time stands still: ${stepsAtOneInstantMax} callbacks ran at ${this.#nowMs} ms without an end`);
      }
      run();
    } catch (error) {
      this.#thrown ??= { error };
    }
  }

  #throwWhatWasThrown(): void {
    const thrown = this.#thrown;
    this.#thrown = undefined;
    if (thrown !== undefined) throw thrown.error;
  }
}
