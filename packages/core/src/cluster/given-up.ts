import type { Pending } from './pending.ts';

/** A refusal that is longer on its way than this finds no note any more. */
const keptMs = 10_000;
const keptMax = 50_000;

/**
 * The calls whose callers stopped waiting while an attempt was under way, so that nobody knows whether they were executed. An earlier call to
 * the same key that is refused afterwards must not be sent again behind them (I6).
 */
export class GivenUp {
  /** The latest call, by type and key. Notes of two spans of time, so that forgetting old ones costs nothing. */
  #recent = new Map<string, number>();
  #before = new Map<string, number>();
  #recentSince = 0;

  note(pending: Pending, now: number): void {
    if (now - this.#recentSince > keptMs || this.#recent.size >= keptMax) {
      this.#before = now - this.#recentSince > 2 * keptMs ? new Map() : this.#recent;
      this.#recent = new Map();
      this.#recentSince = now;
    }
    const address = `${pending.type}/${pending.key}`;
    if (pending.seq > (this.#recent.get(address) ?? 0)) this.#recent.set(address, pending.seq);
  }

  /** Whether a later call to the same key was given up. */
  overtook(pending: Pending): boolean {
    if (this.#recent.size === 0) return false;
    const address = `${pending.type}/${pending.key}`;
    return (this.#recent.get(address) ?? 0) > pending.seq || (this.#before.get(address) ?? 0) > pending.seq;
  }
}
