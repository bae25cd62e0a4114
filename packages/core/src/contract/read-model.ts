/** How far a projection has come. */
export interface Checkpoint {
  /** Everything up to this position has been handled. */
  readonly position: number;
  /** The epoch under which it was saved: a fencing token, which only rises. */
  readonly epoch: number;
}

/**
 * A database that takes what a projection derives together with how far it has come, both or neither: so each event counts exactly once in it.
 * `name` names the projection and its generation.
 */
export interface ReadModel<Tx> {
  /** What was saved last; undefined: nothing. Rejects with `store.unavailable`. */
  checkpoint(name: string): Promise<Checkpoint | undefined>;
  /**
   * Runs `work`, which writes by `tx` and is synchronous, and saves `next`, in one transaction. Resolves to false, with nothing written, when the
   * checkpoint saved last is not at `from` (undefined: none) or has a higher epoch than `next`: somebody else is at work. Rejects with what
   * `work` threw, or with `store.unavailable`; nothing was written then.
   */
  transact(name: string, from: number | undefined, next: Checkpoint, work: (tx: Tx) => void): Promise<boolean>;
  /** Forgets the checkpoint. */
  forget(name: string): Promise<void>;
}
