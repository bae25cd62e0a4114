import type { Activation } from '../actor/activation.ts';
import type { HostedMethod } from '../actor/actor-type.ts';
import type { DurableTurn } from '../actor/durability.ts';
import type { PerkeyError } from '../base/errors.ts';
import type { InboundRequest } from '../contract/calls.ts';
import type { AppendResult } from '../events/append-result.ts';
import type { ResultListener } from '../events/appender.ts';
import type { CommitAuthor, CommitDraft, KeptState } from '../events/commit.ts';
import type { DurableTurnContext } from './durable-turn-context.ts';
import type { HeldActor } from './held-actor.ts';

/** What a turn came to that has to be stored. */
export interface Decided {
  readonly draft: CommitDraft;
  /** Only where the state is kept. */
  readonly kept: KeptState | undefined;
  /** The actor's state after it. */
  readonly state: unknown;
}

/** An actor as the store holds it. */
export interface Stored {
  readonly held: HeldActor;
  readonly state: unknown;
}

/**
 * What became of a commit with a doubtful answer; `stored` and `absent` are for ever, and what else was stored meanwhile is in memory, unless
 * `failure` says why it cannot be. `isOwn`: this very execution is what is stored, for certain, not another one of the same command elsewhere.
 */
export type Settled =
  | { readonly kind: 'stored'; readonly isOwn: boolean; readonly failure: PerkeyError | undefined }
  | { readonly kind: 'absent'; readonly failure: PerkeyError | undefined }
  | { readonly kind: 'unknown' };

/** How the actors of a type are kept: by their events, or as their state. */
export interface Keeping {
  contextOf(activation: Activation, request: InboundRequest | undefined, method: HostedMethod | undefined): DurableTurnContext;
  /** Undefined: nothing has to be stored. Throws `TurnRefusal`. */
  decide(turn: DurableTurn, held: HeldActor, value: unknown): Decided | undefined;
  /** Sends it to the store in this very step, at `now` (monotonic ms). */
  send(held: HeldActor, decided: Decided, now: number, listener: ResultListener): void;
  /** It is stored: what is in memory goes forward. The head does already. */
  advance(activation: Activation, held: HeldActor, decided: Decided, versionBefore: number): void;
  /** Nothing of the turn remains in memory. */
  undo(activation: Activation, held: HeldActor): void;
  /** Never rejects. */
  settle(activation: Activation, held: HeldActor, decided: Decided, deadline: number): Promise<Settled>;
  /** `reached`: how far the log has to be where it says that there is nothing of the actor. Rejects with a `PerkeyError`. */
  load(activation: Activation, author: CommitAuthor, signal: AbortSignal, reached: () => Promise<number>): Promise<Stored>;
  /** Writes the record after which nothing is stored that expected the head before it. Never rejects. */
  fence(stored: Stored): Promise<AppendResult>;
  /** Of the newest snapshot that is known here. */
  snapshotVersion(held: HeldActor): number | undefined;
}
