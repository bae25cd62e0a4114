import type { CommitLog } from '../contract/commit-log.ts';

interface Claim {
  readonly epoch: number;
  readonly reached: Promise<number>;
}

/**
 * How far a log has to be where it says of a stream that it is empty: one barrier for each claim of a shard.
 *
 * Invariant: a barrier is asked for after the shard was claimed under its epoch, so that everything that was acknowledged to former owners
 * before they lost the shard lies at or below it.
 */
export class Barriers {
  readonly #log: CommitLog;
  readonly #byShard = new Map<number, Claim>();

  constructor(log: CommitLog) {
    this.#log = log;
  }

  /** Rejects as `CommitLog.barrier` does; the next one who asks tries again. */
  of(shard: number, epoch: number): Promise<number> {
    const known = this.#byShard.get(shard);
    if (known?.epoch === epoch) return known.reached;
    const claim = { epoch, reached: this.#log.barrier() };
    this.#byShard.set(shard, claim);
    claim.reached.catch(() => {
      if (this.#byShard.get(shard) === claim) this.#byShard.delete(shard);
    });
    return claim.reached;
  }
}
