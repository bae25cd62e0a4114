import type { Clock, Timer } from '../base/clock.ts';
import { Timeline } from './timeline.ts';
import type { TimelineMember } from './timeline.ts';
import { TimerHeap } from './timer-heap.ts';
import type { HeapTimer } from './timer-heap.ts';

export interface VirtualClockOptions {
  /** What `now()` starts with. Forks default to an origin of their own, so that nothing compares the times of two processes unnoticed. */
  readonly originMs?: number | undefined;
  /** What `wall()` starts with. Default: 2025-01-01T00:00:00Z; for a fork, the wall clock of its parent. */
  readonly wallMs?: number | undefined;
  /** Local ms per true ms; 0 stops the monotonic clock, as a suspended machine does. Default 1. */
  readonly rate?: number | undefined;
}

export interface UntilOptions {
  /** Virtual time to wait at most. Default 60,000. */
  readonly limitMs?: number | undefined;
  /** Named in the error when the limit passes. Default: the source of the predicate. */
  readonly what?: string | undefined;
  /** How long virtual time may move between two looks. Default 10. */
  readonly stepMs?: number | undefined;
}

const wallStartMs = Date.UTC(2025, 0, 1);
const originOfForksMs = 1_000_000;
const noTimer: Timer = Object.freeze({ cancel: () => {} });

class VirtualTimer implements HeapTimer, Timer {
  readonly dueMs: number;
  readonly sequence: number;
  readonly run: () => void;
  cancelled = false;
  readonly #cancel: (timer: HeapTimer) => void;

  constructor(dueMs: number, sequence: number, run: () => void, cancel: (timer: HeapTimer) => void) {
    this.dueMs = dueMs;
    this.sequence = sequence;
    this.run = run;
    this.#cancel = cancel;
  }

  cancel(): void {
    this.#cancel(this);
  }
}

/**
 * Time that stands still until a test moves it. One clock is one process; `fork` makes the clock of another process on the same timeline,
 * and whichever of them is moved, all move. Nothing runs except inside `advance`, `advanceTo`, `settle`, `until` and `run`, which
 * fire timers by time and then by creation, and between any two of them run all microtasks and deferred callbacks.
 * They reject with the first error that a callback threw, and when called while another one is not done.
 */
export class VirtualClock implements Clock {
  readonly #timeline: Timeline;
  readonly #timers = new TimerHeap();
  readonly #member: TimelineMember;
  #anchorTrueMs: number;
  #anchorMs: number;
  #lowestMs: number;
  #rate: number;
  /** Wall clock minus true time. */
  #wallOffsetMs: number;
  #frozen = false;
  #killed = false;
  /** A timer runs: which one comes next is found out after it, once. */
  #isFiring = false;
  /** The number of the earliest timer. */
  #dueSequence = Infinity;
  readonly #cancel = (timer: HeapTimer): void => {
    this.#timers.cancel(timer);
    if (this.#dueSequence === timer.sequence && !this.#isFiring) this.#lookAtTimers();
  };

  constructor(options: VirtualClockOptions = {}, parent?: VirtualClock) {
    this.#timeline = parent === undefined ? new Timeline() : parent.#timeline;
    this.#anchorTrueMs = this.#timeline.nowMs;
    this.#anchorMs = options.originMs ?? 1_000;
    this.#lowestMs = this.#anchorMs;
    this.#rate = checkedRate(options.rate ?? 1);
    this.#wallOffsetMs = (options.wallMs ?? parent?.wall() ?? wallStartMs) - this.#timeline.nowMs;
    this.#member = { running: true, place: 0, fireNext: () => this.#fireNext() };
    this.#timeline.join(this.#member);
  }

  now(): number {
    return Math.max(this.#lowestMs, this.#anchorMs + (this.#timeline.nowMs - this.#anchorTrueMs) * this.#rate);
  }

  wall(): number {
    return this.#timeline.nowMs + this.#wallOffsetMs;
  }

  setTimer(delayMs: number, run: () => void): Timer {
    if (Number.isNaN(delayMs)) throw new RangeError('a timer needs a number of milliseconds');
    const sequence = this.#timeline.nextSequence();
    if (this.#killed) return noTimer;
    const timer = new VirtualTimer(this.now() + Math.max(0, delayMs), sequence, run, this.#cancel);
    this.#timers.push(timer);
    if (!this.#isFiring && this.#timers.peek() === timer) this.#lookAtTimers();
    return timer;
  }

  defer(run: () => void): void {
    if (!this.#killed) this.#timeline.defer(this.#member, run);
  }

  /** Milliseconds since the timeline began: the same on all its clocks, whatever their rates. */
  get trueMs(): number {
    return this.#timeline.nowMs;
  }

  /** How many timers and deferred callbacks have run on the timeline. */
  get steps(): number {
    return this.#timeline.steps;
  }

  /** Timers and deferred callbacks of this process that did not run yet. */
  get pending(): number {
    return this.#timers.size + this.#timeline.deferredOf(this.#member);
  }

  get rate(): number {
    return this.#rate;
  }

  /** Takes effect from now on; waiting timers stay due at their local time. */
  set rate(rate: number) {
    const checked = checkedRate(rate);
    this.#anchorMs = this.now();
    this.#anchorTrueMs = this.#timeline.nowMs;
    this.#rate = checked;
    this.#lookAtTimers();
  }

  /** The clock of another process on the same timeline. */
  fork(options: VirtualClockOptions = {}): VirtualClock {
    return new VirtualClock({ originMs: originOfForksMs * (1 + this.#timeline.nextSequence()), ...options }, this);
  }

  /** Sets the wall clock forward, or back with a negative number. The monotonic clock does not notice. */
  jumpWall(ms: number): void {
    this.#wallOffsetMs += ms;
  }

  /** Neither frozen nor dead. */
  get running(): boolean {
    return this.#member.running;
  }

  get frozen(): boolean {
    return this.#frozen;
  }

  /** Stops the process as SIGSTOP does: time goes on, but its timers and deferred callbacks wait. */
  freeze(): void {
    this.#frozen = true;
    this.#lookAtTimers();
  }

  /** Continues a frozen process: what became due meanwhile runs in the next step. */
  thaw(): void {
    this.#frozen = false;
    this.#lookAtTimers();
    this.#timeline.thawed(this.#member);
  }

  /** Ends the process as `kill -9` does: its timers and deferred callbacks never run, and it takes no new ones. */
  kill(): void {
    this.#killed = true;
    this.#timers.clear();
    this.#lookAtTimers();
    this.#timeline.leave(this.#member);
  }

  /** Runs everything that can happen without time passing. */
  async settle(): Promise<void> {
    await this.advance(0);
  }

  /** Moves true time by `ms`. */
  async advance(ms: number): Promise<void> {
    if (!(ms >= 0)) throw new RangeError(`virtual time cannot move by ${ms} ms`);
    await this.#timeline.moveTo(this.#timeline.nowMs + ms);
  }

  /** Moves true time until `now()` of this process is `ms`; with a rate of 0 it never would be. */
  async advanceTo(ms: number): Promise<void> {
    if (ms < this.now() || this.#rate === 0) throw new RangeError(`virtual time cannot move to ${ms} ms from ${this.now()} ms`);
    await this.#timeline.moveTo(this.#toTrue(ms));
  }

  /** Moves time until `predicate` holds; looks after each callback and at least every `stepMs`. Throws when it does not within `limitMs`. */
  async until(predicate: () => boolean, options: UntilOptions = {}): Promise<void> {
    const { limitMs = 60_000, stepMs = 10, what = String(predicate) } = options;
    const limit = this.#timeline.nowMs + limitMs;
    for (;;) {
      const target = Math.min(limit, this.#timeline.nowMs + stepMs);
      if (await this.#timeline.moveTo(target, predicate)) return;
      if (target >= limit) throw new Error(`waited ${limitMs} ms of virtual time in vain for: ${what}`);
    }
  }

  /** Moves time until `promise` is settled, and gives its outcome. */
  async run<T>(promise: PromiseLike<T>, options: UntilOptions = {}): Promise<T> {
    let isSettled = false;
    const settled = (): void => {
      isSettled = true;
    };
    promise.then(settled, settled);
    await this.until(() => isSettled, { what: 'a promise to settle', ...options });
    return promise;
  }

  #toTrue(localMs: number): number {
    return this.#anchorTrueMs + (localMs - this.#anchorMs) / this.#rate;
  }

  /** To be called whenever the earliest timer may be another one, or due at another time. */
  #lookAtTimers(): void {
    const member = this.#member;
    member.running = !this.#frozen && !this.#killed;
    const timer = member.running ? this.#timers.peek() : undefined;
    const dueMs = timer === undefined ? Infinity : timer.dueMs <= this.now() ? this.#timeline.nowMs : this.#toTrue(timer.dueMs);
    this.#dueSequence = timer?.sequence ?? Infinity;
    this.#timeline.setDue(member, dueMs, this.#dueSequence);
  }

  #fireNext(): void {
    const timer = this.#timers.pop();
    if (timer === undefined) return;
    // The way through true time rounds: a timer never sees a clock that is short of its due time.
    this.#lowestMs = Math.max(this.now(), timer.dueMs);
    this.#isFiring = true;
    try {
      timer.run();
    } finally {
      this.#isFiring = false;
      this.#lookAtTimers();
    }
  }
}

function checkedRate(rate: number): number {
  if (!(rate >= 0 && Number.isFinite(rate))) throw new RangeError(`a clock cannot run at the rate ${rate}`);
  return rate;
}
