import type { CarriedActor } from '../contract/calls.ts';
import type { Incarnated } from './records.ts';

/** This node's part in one shard. `released` keeps the state until somebody else holds the shard. */
export type Part =
  | { readonly phase: 'claiming' }
  | Resting
  | Open
  | { readonly phase: 'closing'; readonly successor: Incarnated | undefined; readonly abandon: AbortController }
  | Released;

export interface Released {
  readonly phase: 'released';
  readonly since: number;
  readonly epoch: number;
  readonly carried: readonly CarriedActor[];
  /** The shard was not given away: this node claims it again, with an epoch above this one. */
  readonly renewAbove?: number | undefined;
}

/** Nothing is done before `until`; then this node goes on with `next`. */
export interface Resting {
  readonly phase: 'resting';
  readonly until: number;
  readonly next: Released | undefined;
}

export interface Open {
  readonly phase: 'open';
  readonly epoch: number;
  /** No handoff is tried before. */
  readonly keepUntil: number;
  /** Handoffs in a row that came to nothing. */
  readonly failures: number;
}

/** The way out. Before `turnsEndAt` running turns are waited for; from `endsAt` on nothing is taken any more, not even what was meant for this node. */
export interface Drain {
  readonly turnsEndAt: number;
  readonly endsAt: number;
  readonly done: Promise<void>;
  readonly resolve: () => void;
}
