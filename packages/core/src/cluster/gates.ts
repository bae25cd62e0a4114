import type { Clock, Timer } from '../base/clock.ts';
import { Gate } from './gate.ts';
import type { Pending } from './pending.ts';

const lookEveryMs = 20;

export interface GatesOptions {
  readonly clock: Clock;
  /** Whether the calls to the shard may go out now, given the gate; `false` leaves them. */
  readonly mayOpen: (shard: number, gate: Gate) => boolean;
  /** Takes each call of an opened gate, in order. May hold it back again. */
  readonly dispatch: (pending: Pending) => void;
  /** Called every now and then while calls wait. */
  readonly wantNews: () => void;
}

/** The gates of all shards whose owner is changing. */
export class Gates {
  readonly #o: GatesOptions;
  readonly #byShard = new Map<number, Gate>();
  #held = 0;
  #timer: Timer | undefined;

  constructor(options: GatesOptions) {
    this.#o = options;
  }

  /** Calls held back. */
  get held(): number {
    return this.#held;
  }

  has(shard: number): boolean {
    return this.#byShard.has(shard);
  }

  /** Later calls to the shard wait until `tryOpen`. */
  close(shard: number): Gate {
    let gate = this.#byShard.get(shard);
    if (!gate) {
      gate = new Gate(this.#o.clock.now());
      this.#byShard.set(shard, gate);
    }
    this.#watch();
    return gate;
  }

  hold(pending: Pending, refusedEpoch: number): void {
    this.close(pending.shard).hold(pending, refusedEpoch, this.#o.clock.now());
    this.#held += 1;
  }

  tryOpen(shard: number): void {
    const gate = this.#byShard.get(shard);
    if (!gate || !this.#o.mayOpen(shard, gate)) return;
    this.#byShard.delete(shard);
    for (const pending of gate.open()) {
      this.#held -= 1;
      if (!pending.settled) this.#o.dispatch(pending);
    }
  }

  tryOpenAll(): void {
    for (const shard of this.#byShard.keys()) this.tryOpen(shard);
  }

  /** Every call held back. */
  *[Symbol.iterator](): IterableIterator<Pending> {
    for (const gate of this.#byShard.values()) yield* gate;
  }

  /** Forgets the calls that are settled by now. */
  prune(): void {
    for (const gate of this.#byShard.values()) this.#held -= gate.prune();
  }

  /** Gives out every call held back and closes for good. */
  stop(): Pending[] {
    this.#timer?.cancel();
    const all = [...this];
    this.#byShard.clear();
    this.#held = 0;
    return all;
  }

  #watch(): void {
    this.#timer ??= this.#o.clock.setTimer(lookEveryMs, () => {
      this.#timer = undefined;
      this.#o.wantNews();
      this.tryOpenAll();
      if (this.#byShard.size > 0) this.#watch();
    });
  }
}
