const placesLeast = 64;

/** What was sent and not answered, with the number that its answer brings. */
export interface UnderWay {
  readonly number: number;
  /** Monotonic ms. */
  readonly sentAt: number;
}

/**
 * The appends that wait for their answers. Numbers rise, and are never given twice; an append stands at the place that the low bits of its number
 * name. A `Map` in its place would keep what is over from being collected: the tables that it has outgrown hold on to each other, and to what was
 * under way when they were left.
 */
export class AppendsUnderWay<Append extends UnderWay> {
  #places: (Append | undefined)[] = Array.from({ length: placesLeast });
  #lastNumber = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** A number for the next one, whose place is free. */
  nextNumber(): number {
    if (this.#size * 2 >= this.#places.length) this.#grow();
    do this.#lastNumber += 1;
    while (this.#places[this.#placeOf(this.#lastNumber)] !== undefined);
    return this.#lastNumber;
  }

  add(append: Append): void {
    this.#places[this.#placeOf(append.number)] = append;
    this.#size += 1;
  }

  /** The append is over. Undefined where it was already, and for what is no number. */
  take(number: number): Append | undefined {
    const place = this.#placeOf(number);
    const append = this.#places[place];
    if (append?.number !== number) return undefined;
    this.#places[place] = undefined;
    this.#size -= 1;
    return append;
  }

  /** Those that were sent at `sentUntil` (monotonic ms) or before are over; in the order in which they were sent. */
  takeSentUntil(sentUntil: number): readonly Append[] {
    const taken: Append[] = [];
    for (const append of this.#places) if (append !== undefined && append.sentAt <= sentUntil) taken.push(append);
    for (const { number } of taken) this.take(number);
    return taken.sort((a, b) => a.number - b.number);
  }

  #placeOf(number: number): number {
    return number & (this.#places.length - 1);
  }

  /** Numbers that differ in their low bits differ in one bit more, so each append finds a place of its own. */
  #grow(): void {
    const places: (Append | undefined)[] = Array.from({ length: this.#places.length * 2 });
    for (const append of this.#places) if (append !== undefined) places[append.number & (places.length - 1)] = append;
    this.#places = places;
  }
}
