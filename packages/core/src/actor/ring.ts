const smallest = 8;

/** A first-in, first-out queue on an array of a power of two, which grows by doubling. */
export class Ring<T> {
  #slots: (T | undefined)[] = new Array<T | undefined>(smallest).fill(undefined);
  #head = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** How many items fit without growing. */
  get capacity(): number {
    return this.#slots.length;
  }

  push(item: T): void {
    if (this.#length === this.#slots.length) this.#grow();
    this.#slots[(this.#head + this.#length) & (this.#slots.length - 1)] = item;
    this.#length += 1;
  }

  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const item = this.#slots[this.#head];
    this.#slots[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#slots.length - 1);
    this.#length -= 1;
    return item;
  }

  some(chosen: (item: T) => boolean): boolean {
    for (let i = 0; i < this.#length; i += 1) if (chosen(this.#slots[(this.#head + i) & (this.#slots.length - 1)] as T)) return true;
    return false;
  }

  /** Takes out what `unwanted` says, in order, and keeps the order of the rest. */
  remove(unwanted: (item: T) => boolean): void {
    const count = this.#length;
    for (let i = 0; i < count; i += 1) {
      const item = this.shift() as T;
      if (!unwanted(item)) this.push(item);
    }
  }

  #grow(): void {
    const old = this.#slots;
    const slots = new Array<T | undefined>(old.length * 2).fill(undefined);
    for (let i = 0; i < this.#length; i += 1) slots[i] = old[(this.#head + i) & (old.length - 1)];
    this.#slots = slots;
    this.#head = 0;
  }
}

const keptRingsMax = 256;
const keptCapacityMax = 64;

/** Rings between two uses: an idle actor holds none, and a busy one costs no allocation each time its queue runs empty. */
export class RingPool<T> {
  readonly #kept: Ring<T>[] = [];

  take(): Ring<T> {
    return this.#kept.pop() ?? new Ring<T>();
  }

  /** The ring must be empty. */
  give(ring: Ring<T>): void {
    if (this.#kept.length < keptRingsMax && ring.capacity <= keptCapacityMax) this.#kept.push(ring);
  }
}
