const rememberedMax = 65_536;

/**
 * The highest acknowledged sequence of each subject, as this object was told it, for the law that a read shows it: a leader that was deposed
 * answers reads too, from what it had (H3). Bounded: of subjects that were let go only the highest sequence of all is known.
 */
export class ToldSequences {
  readonly #bySubject = new Map<string, number>();
  #highest = 0;
  #letGo = 0;

  /** The highest of all subjects. */
  get highest(): number {
    return this.#highest;
  }

  note(subject: string, sequence: number): void {
    const before = this.#bySubject.get(subject) ?? 0;
    if (sequence > this.#highest) this.#highest = sequence;
    if (sequence <= before) return;
    this.#bySubject.set(subject, sequence);
    if (before === 0 && this.#bySubject.size > rememberedMax) this.#shrink();
  }

  /** At least this one is the last of the subject. */
  of(subject: string): number {
    return this.#bySubject.get(subject) ?? 0;
  }

  /** The whole stream has reached at least this sequence where a read of the subject may be trusted. */
  reachedBefore(subject: string): number {
    return this.#bySubject.has(subject) ? 0 : this.#letGo;
  }

  /** The oldest subjects go, a quarter of all. */
  #shrink(): void {
    let count = rememberedMax / 4;
    for (const [subject, sequence] of this.#bySubject) {
      if (count === 0) return;
      count -= 1;
      this.#letGo = Math.max(this.#letGo, sequence);
      this.#bySubject.delete(subject);
    }
  }
}
