import type { Clock, Timer } from '../base/clock.ts';
import type { InboundRequest } from '../contract/calls.ts';

const heldMax = 4_096;
const heldMs = 1_000;
const lookEveryMs = 50;

export interface EarlyRequest {
  readonly epoch: number;
  readonly request: InboundRequest;
  readonly since: number;
}

export interface EarlyRequestsOptions {
  readonly clock: Clock;
  /** Whether this node may yet come to serve the shard under that epoch. */
  readonly isEarly: (shard: number, epoch: number) => boolean;
  readonly refuse: (shard: number, request: InboundRequest) => void;
}

/**
 * Requests under an epoch that this node was granted and does not know of yet: a caller may see the shard's new record before the answer to
 * the claim is here. To refuse them, and to take the next ones a moment later, would turn the order of a caller's requests round (I6).
 */
export class EarlyRequests {
  readonly #o: EarlyRequestsOptions;
  readonly #byShard = new Map<number, EarlyRequest[]>();
  #count = 0;
  #timer: Timer | undefined;

  constructor(options: EarlyRequestsOptions) {
    this.#o = options;
  }

  get size(): number {
    return this.#count;
  }

  /** `false` when there is no room. */
  hold(shard: number, epoch: number, request: InboundRequest): boolean {
    if (this.#count >= heldMax) return false;
    const early = { epoch, request, since: this.#o.clock.now() };
    const held = this.#byShard.get(shard);
    if (held) held.push(early);
    else this.#byShard.set(shard, [early]);
    this.#count += 1;
    this.#watch();
    return true;
  }

  /** Gives out what is held for the shard, in the order in which it came. */
  take(shard: number): readonly EarlyRequest[] {
    const held = this.#byShard.get(shard);
    if (!held) return [];
    this.#byShard.delete(shard);
    this.#count -= held.length;
    return held;
  }

  /** Takes out the chosen ones. */
  remove(chosen: (request: InboundRequest) => boolean): InboundRequest[] {
    const removed: InboundRequest[] = [];
    for (const [shard, held] of this.#byShard) {
      const kept = held.filter(({ request }) => {
        if (chosen(request)) removed.push(request);
        return removed.at(-1) !== request;
      });
      if (kept.length > 0) this.#byShard.set(shard, kept);
      else this.#byShard.delete(shard);
    }
    this.#count -= removed.length;
    return removed;
  }

  /** Refuses everything. */
  stop(): void {
    this.#timer?.cancel();
    for (const shard of [...this.#byShard.keys()]) this.#refuse(shard);
  }

  #refuse(shard: number): void {
    for (const { request } of this.take(shard)) this.#o.refuse(shard, request);
  }

  /** A shard is refused as a whole, so that nothing of it is taken between. */
  #look(now: number): void {
    for (const [shard, held] of [...this.#byShard]) {
      const isOver = held.some(({ epoch, since }) => now - since >= heldMs || !this.#o.isEarly(shard, epoch));
      if (isOver) this.#refuse(shard);
    }
  }

  #watch(): void {
    this.#timer ??= this.#o.clock.setTimer(lookEveryMs, () => {
      this.#timer = undefined;
      this.#look(this.#o.clock.now());
      if (this.#count > 0) this.#watch();
    });
  }
}
