import type { Random } from '../../base/random.ts';
import type { CarriedActor } from '../../contract/calls.ts';
import type { ShardHost } from '../../cluster/shard-host.ts';
import type { VirtualClock } from '../virtual-clock.ts';

interface Slot {
  readonly epoch: number;
  count: number;
  isClosing: boolean;
  dropped: () => void;
}

/** In place of actors: one count per shard, which is lost with the shard unless it is carried. */
export class CountingHost implements ShardHost {
  readonly #clock: VirtualClock;
  readonly #random: Random;
  readonly #onOpened: (shard: number, epoch: number, count: number) => void;
  readonly #slots = new Map<number, Slot>();
  #isStopped = false;

  constructor(clock: VirtualClock, random: Random, onOpened: (shard: number, epoch: number, count: number) => void) {
    this.#clock = clock;
    this.#random = random;
    this.#onOpened = onOpened;
  }

  /** The epoch under which it takes requests; `undefined` where it takes none. */
  epochOf(shard: number): number | undefined {
    const slot = this.#slots.get(shard);
    return slot && !slot.isClosing ? slot.epoch : undefined;
  }

  /** Executes one request. */
  count(shard: number): number {
    const slot = this.#slots.get(shard);
    if (!slot || slot.isClosing) throw new Error(`shard ${shard} is not open`);
    slot.count += 1;
    return slot.count;
  }

  openShard(shard: number, epoch: number, carried: readonly CarriedActor[]): void {
    if (this.#isStopped) return;
    const state = carried[0]?.state as { count: number } | undefined;
    const count = state?.count ?? 0;
    this.#slots.set(shard, { epoch, count, isClosing: false, dropped: () => {} });
    this.#onOpened(shard, epoch, count);
  }

  closeShard(shard: number, options: { readonly drainMs: number }): Promise<readonly CarriedActor[]> {
    const slot = this.#slots.get(shard);
    if (!slot) return Promise.resolve([]);
    slot.isClosing = true;
    const runsMs = this.#random.next() < 0.8 ? 0 : this.#random.next() * 1.2 * options.drainMs;
    return new Promise((resolve) => {
      slot.dropped = () => resolve([]);
      this.#clock.setTimer(Math.min(runsMs, options.drainMs), () => {
        if (this.#slots.get(shard) !== slot) return;
        this.#slots.delete(shard);
        resolve(slot.count === 0 ? [] : [{ type: 'counter', key: `key-${shard}`, state: { count: slot.count } }]);
      });
    });
  }

  dropShard(shard: number): void {
    const slot = this.#slots.get(shard);
    this.#slots.delete(shard);
    slot?.dropped();
  }

  stop(): Promise<void> {
    this.#isStopped = true;
    for (const shard of this.#slots.keys()) this.dropShard(shard);
    return new Promise((resolve) => this.#clock.setTimer(this.#random.next() * 20, resolve));
  }
}
