/** What is done for actors: each kind has room of its own, so that receivers that hang do not hold up reminders. */
export const works = ['wake', 'deliver', 'call'] as const;

export type Work = (typeof works)[number];

/** Who waits for room, the first to come first. */
export class Lines<T> {
  readonly #lines: Readonly<Record<Work, Set<T>>> = { wake: new Set(), deliver: new Set(), call: new Set() };

  has(work: Work, item: T): boolean {
    return this.#lines[work].has(item);
  }

  join(work: Work, item: T): void {
    this.#lines[work].add(item);
  }

  leave(work: Work, item: T): void {
    this.#lines[work].delete(item);
  }

  leaveAll(item: T): void {
    for (const work of works) this.leave(work, item);
  }

  /** At most `count` of them, which so leave the line. */
  take(work: Work, count: number): readonly T[] {
    const taken: T[] = [];
    for (const item of this.#lines[work]) {
      if (taken.length >= count) break;
      taken.push(item);
    }
    for (const item of taken) this.leave(work, item);
    return taken;
  }
}
