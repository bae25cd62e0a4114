/** A timer that has not fired yet; `cancel` after it fired does nothing. */
export interface Timer {
  cancel(): void;
}

/** Time as the runtime sees it. Nothing outside this file reads real time. */
export interface Clock {
  /** Milliseconds, monotonic, fractional, with an arbitrary origin. */
  now(): number;
  /** Milliseconds since 1970 by the wall clock. Never used to decide who may act. */
  wall(): number;
  /** Calls `run` once, no earlier than `delayMs` from now. */
  setTimer(delayMs: number, run: () => void): Timer;
  /** Calls `run` at the end of the current turn of the event loop, after I/O callbacks, in the order of the calls. */
  defer(run: () => void): void;
}

/** Taken once: the timers of virtual time rest on it, whatever a test puts in its place later. */
const { setImmediate: atEndOfTurn } = globalThis;

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  setTimer(delayMs, run) {
    const handle = setTimeout(run, Math.max(0, delayMs));
    return { cancel: () => clearTimeout(handle) };
  },
  defer: (run) => {
    atEndOfTurn(run);
  },
};
