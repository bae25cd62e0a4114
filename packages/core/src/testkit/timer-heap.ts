/** A timer of one virtual process. `dueMs` is local time of that process. */
export interface HeapTimer {
  readonly dueMs: number;
  /** Rises with each timer of the timeline: ties in time fire in the order of creation. */
  readonly sequence: number;
  readonly run: () => void;
  cancelled: boolean;
}

function before(a: HeapTimer, b: HeapTimer): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.sequence < b.sequence);
}

/** A binary heap by due time, then by creation. Cancelled timers are skipped, and swept when they are the majority. */
export class TimerHeap {
  #timers: HeapTimer[] = [];
  #cancelled = 0;

  /** Timers that are going to fire. */
  get size(): number {
    return this.#timers.length - this.#cancelled;
  }

  push(timer: HeapTimer): void {
    this.#timers.push(timer);
    this.#rise(this.#timers.length - 1);
  }

  cancel(timer: HeapTimer): void {
    if (timer.cancelled) return;
    timer.cancelled = true;
    this.#cancelled += 1;
    if (this.#cancelled > 64 && this.#cancelled * 2 > this.#timers.length) this.#sweep();
  }

  peek(): HeapTimer | undefined {
    while (this.#timers[0]?.cancelled === true) {
      this.#removeTop();
      this.#cancelled -= 1;
    }
    return this.#timers[0];
  }

  /** Removes the earliest timer; its later `cancel` does nothing. */
  pop(): HeapTimer | undefined {
    const top = this.peek();
    if (top === undefined) return undefined;
    this.#removeTop();
    top.cancelled = true;
    return top;
  }

  clear(): void {
    for (const timer of this.#timers) timer.cancelled = true;
    this.#timers = [];
    this.#cancelled = 0;
  }

  #sweep(): void {
    // A sorted array is a heap.
    this.#timers = this.#timers.filter((timer) => !timer.cancelled).sort((a, b) => (before(a, b) ? -1 : 1));
    this.#cancelled = 0;
  }

  #removeTop(): void {
    const last = this.#timers.pop();
    if (last === undefined || this.#timers.length === 0) return;
    this.#timers[0] = last;
    this.#sink(0);
  }

  #rise(start: number): void {
    let index = start;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!this.#swapIfBefore(index, parent)) return;
      index = parent;
    }
  }

  #sink(start: number): void {
    let index = start;
    for (;;) {
      const left = index * 2 + 1;
      const right = left + 1;
      const leftTimer = this.#timers[left];
      if (leftTimer === undefined) return;
      const rightTimer = this.#timers[right];
      const child = rightTimer !== undefined && before(rightTimer, leftTimer) ? right : left;
      if (!this.#swapIfBefore(child, index)) return;
      index = child;
    }
  }

  #swapIfBefore(lower: number, upper: number): boolean {
    const a = this.#timers[lower];
    const b = this.#timers[upper];
    if (a === undefined || b === undefined || !before(a, b)) return false;
    this.#timers[upper] = a;
    this.#timers[lower] = b;
    return true;
  }
}
