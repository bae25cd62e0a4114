/** Smaller groups cost more to hand over than they gain. */
const least = 64;
/** How much a new measurement counts. */
const weight = 0.2;

/** What the thread says of a group. */
interface Written {
  readonly seconds: number;
  /** Of them what the force to the disk took. */
  readonly commitSeconds: number;
}

/**
 * Whether those that wait are worth a force to the disk of their own while the thread is busy, or wait for one that all share. Three times are
 * learned from groups that are large enough to tell: of a force, of writing one append, and of this thread, from being told of an append until
 * its author has made the next one.
 */
export class GroupPace {
  #forceMs = 0;
  #writeMs = 0;
  #authorMs = 0;
  #groups = 0;
  /** When the appends were answered whose authors are making new ones. */
  #toldAt = 0;
  /** How many of them have to come until it is known how long that takes; 0 when nothing is awaited. */
  #awaited = 0;
  #half = 0;

  /** The thread wrote a group of so many, whose authors are told now. */
  wrote(count: number, { seconds, commitSeconds }: Written, now: number): void {
    if (count < least) return;
    this.#forceMs = this.#mean(this.#forceMs, commitSeconds * 1_000);
    this.#writeMs = this.#mean(this.#writeMs, ((seconds - commitSeconds) * 1_000) / count);
    this.#groups += 1;
    this.#toldAt = now;
    this.#half = count >> 1;
    this.#awaited = this.#half;
  }

  /** One more waits. True when `made` wants to be told the time. */
  came(): boolean {
    return this.#awaited > 0 && (this.#awaited -= 1) === 0;
  }

  made(now: number): void {
    const ms = (now - this.#toldAt) / this.#half;
    this.#authorMs = this.#authorMs === 0 ? ms : this.#mean(this.#authorMs, ms);
  }

  /**
   * How many make a further group, of `all` that wait or are with the thread. Where a force takes longer than the authors of all, one force for
   * all is quickest. Else two take turns: groups as small as the thread can keep up with, where the authors are slower than it, and halves
   * where they are not.
   */
  enough(all: number): number {
    if (this.#forceMs >= this.#authorMs * all) return Infinity;
    const slower = this.#authorMs - this.#writeMs;
    const keepsUp = slower > 0 ? this.#forceMs / slower : Infinity;
    return Math.max(least, Math.min(keepsUp, all / 2));
  }

  #mean(before: number, now: number): number {
    return this.#groups === 0 ? now : before + (now - before) * weight;
  }
}
