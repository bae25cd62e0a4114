import type { Activation } from '../actor/activation.ts';
import type { DurableTurn } from '../actor/durability.ts';
import type { HostedMethod } from '../actor/actor-type.ts';
import type { InboundRequest } from '../contract/calls.ts';
import type { Commit, CommitDraft, CommitKind, KeptState, StreamHead } from '../events/commit.ts';
import type { DurableTurnContext } from './durable-turn-context.ts';
import type { Folding, HeldActor } from './held-actor.ts';

/** What a turn came to that has to be stored. */
export interface Decided {
  readonly draft: CommitDraft;
  readonly kept: KeptState | undefined;
  /** The stream's version after it. */
  readonly version: number;
  /** The actor's state after it. */
  readonly state: unknown;
}

/** What tells whether a commit was stored. */
export type Found = { readonly kind: 'stored'; readonly commit: Commit } | { readonly kind: 'not_stored' } | { readonly kind: 'unclear' };

/** How the actors of a type are kept: by their events, or as their state. */
export interface Keeping {
  readonly recordKind: CommitKind;
  contextOf(activation: Activation, request: InboundRequest | undefined, method: HostedMethod | undefined): DurableTurnContext;
  /** Undefined: nothing has to be stored. Throws `TurnRefusal`. `id` and `at` are asked for when there is something. */
  decide(turn: DurableTurn, held: HeldActor, value: unknown): Decided | undefined;
  /** The turn is stored: state and books go forward. */
  advance(activation: Activation, held: HeldActor, decided: Decided): void;
  /** Nothing of the turn remains. */
  undo(activation: Activation, held: HeldActor): void;
  /**
   * Before the first record. With `mayShorten` it may begin behind a record, which it then has in the head; true: that record has to be compared.
   * Does not reject for what is unreadable.
   */
  begin(folding: Folding, key: string, mayShorten: boolean): Promise<boolean>;
  /** Takes one more record. Throws a `PerkeyError` for one that cannot be applied. */
  fold(folding: Folding, commit: Commit): void;
  /** Whether the commit of this id is among what was stored after `head`; `tail` is not empty. */
  find(tail: readonly Commit[], head: StreamHead, id: string): Found;
  /** What a fence holds. */
  fence(held: HeldActor, state: unknown): { readonly kept: KeptState | undefined };
}
