import type { Clock, Timer } from '../base/clock.ts';
import type { InboundRequest } from '../contract/calls.ts';

const heldMax = 4_096;
const heldBytesMax = 32 * 1_048_576;
const heldMs = 1_000;
const lookEveryMs = 50;

export interface EarlyRequest {
  readonly epoch: number;
  readonly request: InboundRequest;
  readonly since: number;
  /** What it counts for: the first one of a frame for all of them. */
  readonly bytes: number;
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
  #bytes = 0;
  #timer: Timer | undefined;

  constructor(options: EarlyRequestsOptions) {
    this.#o = options;
  }

  get size(): number {
    return this.#count;
  }

  hasRoom(bytes: number): boolean {
    return this.#count < heldMax && this.#bytes + bytes <= heldBytesMax;
  }

  hold(shard: number, epoch: number, request: InboundRequest, bytes: number): void {
    this.#keep(shard, { epoch, request, since: this.#o.clock.now(), bytes });
    this.#watch();
  }

  /** Gives out what is held for the shard, in the order in which it came. */
  take(shard: number): readonly EarlyRequest[] {
    const held = this.#byShard.get(shard);
    if (!held) return [];
    this.#byShard.delete(shard);
    this.#count -= held.length;
    for (const { bytes } of held) this.#bytes -= bytes;
    return held;
  }

  /** Takes out the chosen ones. */
  remove(chosen: (request: InboundRequest) => boolean): InboundRequest[] {
    const removed: InboundRequest[] = [];
    for (const shard of [...this.#byShard.keys()]) {
      for (const early of this.take(shard)) {
        if (chosen(early.request)) removed.push(early.request);
        else this.#keep(shard, early);
      }
    }
    return removed;
  }

  /** Refuses everything. */
  stop(): void {
    this.#timer?.cancel();
    for (const shard of [...this.#byShard.keys()]) this.#refuse(shard);
  }

  #keep(shard: number, early: EarlyRequest): void {
    const held = this.#byShard.get(shard);
    if (held) held.push(early);
    else this.#byShard.set(shard, [early]);
    this.#count += 1;
    this.#bytes += early.bytes;
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
