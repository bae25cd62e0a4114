/** With fewer in line nobody waits long, and nothing is measured. */
export const lineLeast = 8;

/** Below this many that left, the pace is not known. */
const leftLeast = 8;
/** Beyond this many, those that left earlier count half. */
const leftMost = 256;

/** A pause longer than this is no part of the pace: the process stood still, or its lease did not hold. */
const pauseMs = 100;

/** How long those in a line have to wait, from how fast it went since it became long. */
export class LinePace {
  #since: number | undefined;
  #left = 0;
  #lastLeftAt = 0;

  /** When somebody last left the line; `undefined` while nothing is measured. */
  get lastLeftAt(): number | undefined {
    return this.#since === undefined ? undefined : this.#lastLeftAt;
  }

  /** Somebody at the front of the line has its turn now. */
  left(now: number): void {
    if (this.#since === undefined) return;
    this.#left += 1;
    if (now - this.#lastLeftAt > pauseMs) this.#since += now - this.#lastLeftAt;
    this.#lastLeftAt = now;
  }

  /** The line is short again. */
  reset(): void {
    this.#since = undefined;
  }

  /** When the last of so many in line should have its turn, in ms from now; 0 while that is not known. */
  estimateMs(inLine: number, now: number): number {
    if (this.#since === undefined) {
      this.#since = now;
      this.#lastLeftAt = now;
      this.#left = 0;
    }
    if (this.#left < leftLeast) return 0;
    const elapsedMs = this.#lastLeftAt - this.#since;
    const estimateMs = (inLine * elapsedMs) / this.#left;
    if (this.#left >= leftMost) {
      this.#left /= 2;
      this.#since = this.#lastLeftAt - elapsedMs / 2;
    }
    return estimateMs;
  }
}
