import type { CarriedActor } from '../contract/calls.ts';
import type { ShardHost } from './shard-host.ts';

/** What runs on the node that owns a shard, beside its actors. Must not throw. */
export interface ShardListener {
  opened(shard: number, epoch: number): void;
  /** The shard is about to leave as planned. Resolves when nothing of it goes on here; no longer waited for after `drainMs`. */
  closing(shard: number): Promise<void>;
  /** The shard was lost. */
  dropped(shard: number): void;
}

/** Tells listeners what becomes of shards: after the actors where they open, before them where they close. */
export class ShardListeners implements ShardHost {
  readonly #host: ShardHost;
  readonly #listeners: readonly ShardListener[];
  readonly #within: (ms: number, promise: Promise<unknown>) => Promise<boolean>;

  /** `within` waits for a promise, at most so many ms. */
  constructor(host: ShardHost, listeners: readonly ShardListener[], within: (ms: number, promise: Promise<unknown>) => Promise<boolean>) {
    this.#host = host;
    this.#listeners = listeners;
    this.#within = within;
  }

  openShard(shard: number, epoch: number, carried: readonly CarriedActor[]): void {
    this.#host.openShard(shard, epoch, carried);
    for (const listener of this.#listeners) listener.opened(shard, epoch);
  }

  async closeShard(
    shard: number,
    options: { readonly drainMs: number; readonly successor: string | undefined },
  ): Promise<readonly CarriedActor[]> {
    const closed = this.#host.closeShard(shard, options);
    const ended = Promise.all(this.#listeners.map((listener) => listener.closing(shard)));
    await this.#within(options.drainMs, ended);
    return closed;
  }

  dropShard(shard: number): void {
    this.#host.dropShard(shard);
    for (const listener of this.#listeners) listener.dropped(shard);
  }
}
