const everyMs = 5;

/** How long the event loop stood still. A machine that is busy elsewhere makes it wait too, so the time of this thread's own work is told apart. */
export class Stalls {
  readonly #timer: NodeJS.Timeout;
  #at = performance.now();
  #cpu: NodeJS.CpuUsage = process.threadCpuUsage();
  #stallMs = 0;
  #workMs = 0;

  constructor() {
    this.#timer = setInterval(() => this.#look(), everyMs);
    this.#timer.unref();
  }

  take(): { readonly stallMs: number; readonly workMs: number } {
    this.#look();
    const longest = { stallMs: Math.round(this.#stallMs), workMs: Math.round(this.#workMs) };
    this.#stallMs = 0;
    this.#workMs = 0;
    return longest;
  }

  /** What happened since the last look does not count: it was the measurement itself. */
  forgetNow(): void {
    this.#at = performance.now();
    this.#cpu = process.threadCpuUsage();
  }

  #look(): void {
    const now = performance.now();
    const cpu = process.threadCpuUsage();
    const stall = now - this.#at - everyMs;
    // Between two looks the loop may have come round more than once only if they are as far apart as the timer says.
    const work = Math.min(stall, (cpu.user + cpu.system - this.#cpu.user - this.#cpu.system) / 1_000);
    this.#stallMs = Math.max(this.#stallMs, stall);
    this.#workMs = Math.max(this.#workMs, work);
    this.#at = now;
    this.#cpu = cpu;
  }
}
