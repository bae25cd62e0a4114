import type { Activation } from './activation.ts';

/** The actors of one type by their last use, the longest unused first. Keeps nothing for types that may not be passivated. */
export class UseOrder {
  /** Undefined: actors of the type stay. */
  readonly passivateAfterMs: number | undefined;
  #oldest: Activation | undefined = undefined;
  #newest: Activation | undefined = undefined;

  constructor(passivateAfterMs: number | undefined) {
    this.passivateAfterMs = passivateAfterMs;
  }

  get oldest(): Activation | undefined {
    return this.#oldest;
  }

  /** When the longest unused actor may be passivated; `Infinity` when there is none. */
  get dueAt(): number {
    return this.#oldest === undefined ? Infinity : this.#oldest.usedAt + (this.passivateAfterMs as number);
  }

  /** The actor is new, or was used now. */
  touch(activation: Activation, now: number): void {
    if (this.passivateAfterMs === undefined) return;
    // Rounded up, so that it is never passivated early.
    activation.usedAt = Math.ceil(now);
    if (this.#newest === activation) return;
    this.remove(activation);
    activation.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = activation;
    else this.#newest.newer = activation;
    this.#newest = activation;
  }

  /** Does nothing for an actor that is not in the order. */
  remove(activation: Activation): void {
    const { older, newer } = activation;
    if (older === undefined && newer === undefined && this.#oldest !== activation) return;
    if (older === undefined) this.#oldest = newer;
    else older.newer = newer;
    if (newer === undefined) this.#newest = older;
    else newer.older = older;
    activation.older = undefined;
    activation.newer = undefined;
  }
}
