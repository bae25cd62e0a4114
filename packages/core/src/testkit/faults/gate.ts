import type { Clock, Timer } from '../../base/clock.ts';
import { VirtualClock } from '../virtual-clock.ts';

/** What happens to one direction of one kind of link of one process. Read at each step, so a change holds for what comes next. */
export interface Path {
  /** What passes is lost. */
  cut: boolean;
  /** What passes waits until the path is released. */
  held: boolean;
  delayMs: number;
  /** How many of the next steps are lost. */
  dropNext: number;
  /** What each step takes beside that, in ms, drawn for each; none where nothing takes time. No fault: nothing ends it. */
  latencyMs: (() => number) | undefined;
}

export function openPath(): Path {
  return { cut: false, held: false, delayMs: 0, dropNext: 0, latencyMs: undefined };
}

/** Ends what a path suffers. */
export function mendPath(path: Path): void {
  path.cut = false;
  path.held = false;
  path.delayMs = 0;
  path.dropNext = 0;
}

/** About half of what passes takes longer, where anything takes time. */
const latencyMedianMs = 0.5;

interface Waiting {
  readonly step: () => void;
  readonly isLossless: boolean;
  readonly dueMs: number;
}

/** Lets steps through in their order: at once, later, or never, as its path says. */
export class Gate {
  readonly #path: Path;
  readonly #clock: Clock;
  /** The clock whose process runs what was late. */
  readonly #runner: Clock;
  #waiting: Waiting[] = [];
  #timer: Timer | undefined;
  #isDrainDeferred = false;
  #emptied: (() => void) | undefined;
  readonly #onTimer = (): void => {
    this.#timer = undefined;
    // No deferred callback of a process that runs waits while timers fire, so that this is its next step in any case.
    if (!(this.#runner instanceof VirtualClock) || this.#isDrainDeferred) this.changed();
    else if (this.#runner.running) this.#drain();
    else this.#drainSoon(() => this.#drainAfterStandstill());
  };

  constructor(path: Path, clock: Clock, runner: Clock) {
    this.#path = path;
    this.#clock = clock;
    this.#runner = runner;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /**
   * True when the step ran at once. A lossless step waits where others are lost: for streams that notice a gap and fetch it.
   * A step must not throw.
   */
  pass(step: () => void, isLossless: boolean = false): boolean {
    const path = this.#path;
    if (!isLossless && path.dropNext > 0) {
      path.dropNext -= 1;
      return false;
    }
    if (path.cut && !isLossless) return false;
    const delayMs = path.delayMs + (path.latencyMs?.() ?? 0);
    if (!path.cut && !path.held && delayMs === 0 && this.#waiting.length === 0) {
      step();
      return true;
    }
    this.#waiting.push({ step, isLossless, dueMs: this.#clock.now() + delayMs });
    if (this.#timer !== undefined) return false;
    if (this.#waiting.length === 1 && delayMs > 0) this.#drainIn(delayMs);
    else this.changed();
    return false;
  }

  /** Looks again at the path; to be called after it was changed. */
  changed(): void {
    this.#drainSoon(() => this.#drain());
  }

  /** Loses what waits. */
  clear(): void {
    this.#waiting = [];
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Calls `run` once nothing waits: now, or later. */
  whenEmpty(run: () => void): void {
    if (this.#waiting.length === 0) run();
    else this.#emptied = run;
  }

  #drainSoon(drain: () => void): void {
    if (this.#isDrainDeferred || this.#waiting.length === 0) return;
    this.#isDrainDeferred = true;
    this.#runner.defer(() => {
      this.#isDrainDeferred = false;
      drain();
    });
  }

  /** What came while the process stood still is read before its timers that are due by then, or after them, as chance has it. */
  #drainAfterStandstill(): void {
    const delayMs = this.#path.latencyMs?.() ?? 0;
    if (delayMs > latencyMedianMs && this.#timer === undefined) this.#drainIn(delayMs);
    else this.#drain();
  }

  #drain(): void {
    for (let next = this.#waiting[0]; next !== undefined && !this.#path.held; next = this.#waiting[0]) {
      if (this.#path.cut && next.isLossless) return;
      const restMs = next.dueMs - this.#clock.now();
      if (restMs > 0) return this.#drainIn(restMs);
      this.#waiting.shift();
      if (!this.#path.cut) next.step();
    }
    if (this.#waiting.length > 0) return;
    const emptied = this.#emptied;
    this.#emptied = undefined;
    emptied?.();
  }

  #drainIn(ms: number): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.setTimer(ms, this.#onTimer);
  }
}
