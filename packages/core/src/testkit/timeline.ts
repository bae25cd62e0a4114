import { systemClock } from '../base/clock.ts';

/** One clock that shares a timeline, as the clock keeps it up to date. */
export interface TimelineMember {
  /** False while the process is frozen or dead: nothing of it runs. */
  running: boolean;
  /** Its place on the timeline, which others may get when it has left. */
  place: number;
  /** Fires the earliest timer. */
  readonly fireNext: () => void;
}

interface Deferred {
  readonly owner: TimelineMember;
  readonly run: () => void;
}

/** Steps that may happen without time passing, before it is called a loop. */
const stepsAtOneInstantMax = 200_000;

/** Steps that one turn of the real event loop takes at most. */
const burstMax = 256;

/** Taken here, before anybody can put something else in its place: it is the one thing of the real world that virtual time needs. */
const { defer: inTheRealLoop } = systemClock;

function twice(numbers: Float64Array): Float64Array<ArrayBuffer> {
  const more = new Float64Array(numbers.length * 2).fill(Infinity);
  more.set(numbers);
  return more;
}

const never = (): boolean => false;

/** One way of the time from where it stands to a target. */
interface Journey {
  readonly targetMs: number;
  readonly done: () => boolean;
  readonly arrived: (early: boolean) => void;
  readonly failed: (error: unknown) => void;
  isOver: boolean;
}

/**
 * The true time that a set of virtual clocks shares, and what is to run on it. One step at a time, always in the same order. Each step is an
 * immediate of the real event loop, many of them in one turn of it: between two immediates every microtask runs, and nothing else proves that
 * there is none left. It makes nothing depend on real time.
 */
export class Timeline {
  #nowMs = 0;
  #sequence = 0;
  #moving = false;
  #steps = 0;
  #stepsAtThisInstant = 0;
  /** In the order in which they are to run; those before `#head` have run. */
  #deferred: Deferred[] = [];
  #head = 0;
  /** Deferred callbacks of processes that were found frozen. */
  #parked: Deferred[] = [];
  #thrown: { readonly error: unknown } | undefined;
  /** By place. */
  readonly #members: (TimelineMember | undefined)[] = [];
  readonly #freePlaces: number[] = [];
  /** By place, in true ms: looked through for each timer, so that they stand side by side. */
  #dueMs = new Float64Array(32).fill(Infinity);
  #dueSequence = new Float64Array(32).fill(Infinity);

  get nowMs(): number {
    return this.#nowMs;
  }

  /** How many timers and deferred callbacks ran. */
  get steps(): number {
    return this.#steps;
  }

  join(member: TimelineMember): void {
    const place = this.#freePlaces.pop() ?? this.#members.length;
    this.#members[place] = member;
    member.place = place;
    if (place === this.#dueMs.length) {
      this.#dueMs = twice(this.#dueMs);
      this.#dueSequence = twice(this.#dueSequence);
    }
  }

  /**
   * When the earliest timer of a member fires, in true ms, and its number; `Infinity` without timers, and while the member does not run.
   * May be in the past. Nothing, for a member that has left.
   */
  setDue(member: TimelineMember, dueMs: number, sequence: number): void {
    const { place } = member;
    if (this.#members[place] !== member) return;
    this.#dueMs[place] = dueMs;
    this.#dueSequence[place] = sequence;
  }

  nextSequence(): number {
    this.#sequence += 1;
    return this.#sequence;
  }

  defer(owner: TimelineMember, run: () => void): void {
    this.#deferred.push({ owner, run });
  }

  deferredOf(owner: TimelineMember): number {
    const isOwn = (entry: Deferred): boolean => entry.owner === owner;
    return this.#deferred.slice(this.#head).filter(isOwn).length + this.#parked.filter(isOwn).length;
  }

  /** The process is dead: its clock has no part in time any more. */
  leave(member: TimelineMember): void {
    const isOther = (entry: Deferred): boolean => entry.owner !== member;
    this.#deferred = this.#deferred.slice(this.#head).filter(isOther);
    this.#head = 0;
    this.#parked = this.#parked.filter(isOther);
    if (this.#members[member.place] !== member) return;
    this.setDue(member, Infinity, Infinity);
    this.#members[member.place] = undefined;
    this.#freePlaces.push(member.place);
  }

  /** The process goes on: what it had deferred comes before what others defer from now on. */
  thawed(member: TimelineMember): void {
    if (this.#parked.length === 0) return;
    const own = this.#parked.filter((entry) => entry.owner === member);
    this.#parked = this.#parked.filter((entry) => entry.owner !== member);
    this.#deferred = [...own, ...this.#deferred.slice(this.#head)];
    this.#head = 0;
  }

  /**
   * Moves to `targetMs`, running what is due on the way; stops early, with `true`, as soon as `done` says so.
   * Rejects with the first error that a callback threw.
   */
  async moveTo(targetMs: number, done: () => boolean = never): Promise<boolean> {
    if (this.#moving) throw new Error('virtual time is already moving: await the previous advance, settle, until or run first');
    this.#moving = true;
    try {
      return await new Promise<boolean>((arrived, failed) => {
        this.#travel({ targetMs, done, arrived, failed, isOver: false }, 1);
      });
    } finally {
      this.#moving = false;
    }
  }

  /** Takes `burst` steps in one turn of the real event loop, then more. */
  #travel(journey: Journey, burst: number): void {
    const step = (): void => {
      if (!journey.isOver) this.#stepOf(journey);
    };
    for (let i = 1; i < burst; i += 1) inTheRealLoop(step);
    inTheRealLoop(() => {
      step();
      if (!journey.isOver) this.#travel(journey, Math.min(burstMax, burst * 2));
    });
  }

  /** Every microtask has run. Deferred callbacks come before timers, as in a real loop. */
  #stepOf(journey: Journey): void {
    if (this.#thrown !== undefined) {
      const { error } = this.#thrown;
      this.#thrown = undefined;
      journey.isOver = true;
      journey.failed(error);
      return;
    }
    const deferred = this.#takeDeferred();
    if (deferred !== undefined) {
      this.#step(deferred.run);
      return;
    }
    if (journey.done()) {
      journey.isOver = true;
      journey.arrived(true);
      return;
    }
    if (this.#fireEarliest(journey.targetMs)) return;
    this.#setNow(journey.targetMs);
    journey.isOver = true;
    journey.arrived(journey.done());
  }

  #takeDeferred(): Deferred | undefined {
    while (this.#head < this.#deferred.length) {
      const entry = this.#deferred[this.#head] as Deferred;
      this.#head += 1;
      if (entry.owner.running) return entry;
      this.#parked.push(entry);
    }
    if (this.#head > 0) {
      this.#deferred = [];
      this.#head = 0;
    }
    return undefined;
  }

  #setNow(trueMs: number): void {
    if (trueMs <= this.#nowMs) return;
    this.#nowMs = trueMs;
    this.#stepsAtThisInstant = 0;
  }

  /** False when nothing is due up to `limitMs`. Ties go to the timer that was made first. */
  #fireEarliest(limitMs: number): boolean {
    const allDueMs = this.#dueMs;
    const sequences = this.#dueSequence;
    const nowMs = this.#nowMs;
    let best = -1;
    let bestMs = limitMs;
    for (let place = 0; place < this.#members.length; place += 1) {
      const given = allDueMs[place] as number;
      if (given > bestMs || given === Infinity) continue;
      const dueMs = given > nowMs ? given : nowMs;
      if (best >= 0 && dueMs === bestMs && (sequences[place] as number) > (sequences[best] as number)) continue;
      best = place;
      bestMs = dueMs;
    }
    const member = this.#members[best];
    if (member === undefined) return false;
    this.#setNow(bestMs);
    this.#step(member.fireNext);
    return true;
  }

  #step(run: () => void): void {
    this.#steps += 1;
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
}
