/** A place in a heap. */
export interface DueEntry<T> {
  readonly at: number;
  readonly item: T;
  isOff: boolean;
}

/** What is due when, the earliest first; in no order where that is the same. */
export class DueHeap<T> {
  #entries: DueEntry<T>[] = [];
  #off = 0;

  get size(): number {
    return this.#entries.length - this.#off;
  }

  add(at: number, item: T): DueEntry<T> {
    const entry = { at, item, isOff: false };
    const entries = this.#entries;
    let index = entries.push(entry) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = entries[parent] as DueEntry<T>;
      if (above.at <= at) break;
      entries[index] = above;
      index = parent;
    }
    entries[index] = entry;
    return entry;
  }

  remove(entry: DueEntry<T>): void {
    if (entry.isOff) return;
    entry.isOff = true;
    this.#off += 1;
    if (this.#off < 64 || this.#off * 2 < this.#entries.length) return;
    // What is sorted is a heap.
    this.#entries = this.#entries.filter(({ isOff }) => !isOff).sort((a, b) => a.at - b.at);
    this.#off = 0;
  }

  /** When the first one is due. */
  get firstAt(): number | undefined {
    while (this.#entries[0]?.isOff === true) {
      this.#takeTop();
      this.#off -= 1;
    }
    return this.#entries[0]?.at;
  }

  /** The first one, if it is due at `now`. */
  take(now: number): T | undefined {
    const { firstAt } = this;
    if (firstAt === undefined || firstAt > now) return undefined;
    const [top] = this.#entries;
    this.#takeTop();
    if (top !== undefined) top.isOff = true;
    return top?.item;
  }

  #takeTop(): void {
    const entries = this.#entries;
    const last = entries.pop();
    if (last === undefined || entries.length === 0) return;
    let index = 0;
    for (;;) {
      const left = index * 2 + 1;
      const right = left + 1;
      const leftEntry = entries[left];
      if (leftEntry === undefined) break;
      const rightEntry = entries[right];
      const child = rightEntry !== undefined && rightEntry.at < leftEntry.at ? right : left;
      const next = entries[child] as DueEntry<T>;
      if (next.at >= last.at) break;
      entries[index] = next;
      index = child;
    }
    entries[index] = last;
  }
}
