/** A part of the protocol that is taken out of every node, and the row that must notice. */
export interface Control {
  /** A name of `harness/mutations.ts`. */
  readonly without: string;
  readonly row: string;
}

export const controls: readonly Control[] = [
  { without: 'the lease check', row: 'F6' },
  { without: 'a lease shorter than the time to eviction', row: 'F6' },
  { without: 'a lease shorter than the time to eviction', row: 'F2' },
  { without: "the wait for the owner's lease before a take-over", row: 'F6' },
  { without: "the observer's own lease", row: 'F3 late' },
  { without: 'the lease check and the epoch of a request', row: 'F8 toNode' },
  { without: 'the memory of replies', row: 'F6 repeat' },
  { without: 'the memory of replies in commits', row: 'F1 log' },
  { without: 'compare-and-set from appends', row: 'F8 log' },
  { without: 'the fence of a new owner', row: 'F8 log' },
  { without: 'sync_interval of the server', row: 'F14 log' },
];
