/**
 * Where a projection writes what it makes of events, with its checkpoint beside it: both are kept or neither, so that every event has its effect
 * exactly once, whatever ends in between. A store that cannot do this is no read model; its projection gets each event at least once.
 */
export interface ReadModel<Transaction> {
  /** The position after which the projection goes on, 0 where it has none. Rejects with `store.unavailable`. */
  checkpoint(projection: string): Promise<number>;
  /**
   * Runs `work` and moves the checkpoint of `projection` from `from` to `to`, in one transaction; 0 as `to` takes it away, for a rebuild whose `work`
   * clears what was written. Resolves with false when the checkpoint is another than `from`: somebody else went on, and nothing was done.
   * Rejects with what `work` threw, or with `store.unavailable`; nothing was written then, except where that error says `unknown`.
   * `work` does not wait for anything: it returns when it is done.
   */
  advance(projection: string, from: number, to: number, work: (transaction: Transaction) => void): Promise<boolean>;
  /** Idempotent. */
  close(): Promise<void>;
}
