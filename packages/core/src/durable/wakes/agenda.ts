import type { Clock, Timer } from '../../base/clock.ts';
import { DueHeap } from './due-heap.ts';
import type { Duty } from './duty.ts';

/** How long a jump of the wall clock goes unnoticed. */
const lookMs = 5_000;
const jumpMs = 100;

/**
 * When to look at which duty again. Runs on the monotonic clock; where the wall clock, by which reminders are due, jumps against it, everything is
 * placed anew.
 */
export class Agenda {
  readonly #clock: Clock;
  readonly #onDue: () => void;
  readonly #onJump: () => void;
  readonly #heap = new DueHeap<Duty>();
  #timer: Timer | undefined = undefined;
  #timerAt = Infinity;
  #offset: number;

  constructor(clock: Clock, onDue: () => void, onJump: () => void) {
    this.#clock = clock;
    this.#onDue = onDue;
    this.#onJump = onJump;
    this.#offset = clock.wall() - clock.now();
  }

  /** In place of what was there of the duty. `at`: monotonic ms; Infinity: not at all. */
  place(duty: Duty, at: number): void {
    if (duty.entry !== undefined) this.#heap.remove(duty.entry);
    duty.entry = at === Infinity || duty.isGone ? undefined : this.#heap.add(at, duty);
    if (duty.entry !== undefined) this.wakeAt(at);
  }

  /** The next one that is due. */
  take(): Duty | undefined {
    const duty = this.#heap.take(this.#clock.now());
    if (duty !== undefined) duty.entry = undefined;
    return duty;
  }

  /** `onDue` is called no later than then. */
  wakeAt(at: number): void {
    const now = this.#clock.now();
    const due = Math.min(Math.max(at, now), now + lookMs);
    if (at === Infinity || due >= this.#timerAt) return;
    this.#timer?.cancel();
    this.#timerAt = due;
    if (due > now) this.#timer = this.#clock.setTimer(due - now, () => this.#fire());
    else this.#clock.defer(() => this.#fire());
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#timerAt = -Infinity;
  }

  #fire(): void {
    if (this.#timerAt === -Infinity) return;
    this.#timer = undefined;
    this.#timerAt = Infinity;
    const offset = this.#clock.wall() - this.#clock.now();
    if (Math.abs(offset - this.#offset) > jumpMs) {
      this.#offset = offset;
      this.#onJump();
    }
    this.#onDue();
    const { firstAt } = this.#heap;
    if (firstAt !== undefined) this.wakeAt(firstAt);
  }
}
