import type { Activation } from '../actor/activation.ts';
import type { HostedMethod } from '../actor/actor-type.ts';
import type { ContextServices } from '../actor/context-services.ts';
import type { DurableTurn } from '../actor/durability.ts';
import { turnRefusal } from '../actor/refusals.ts';
import { bareError } from '../base/bare-error.ts';
import { decode, encode } from '../base/codec.ts';
import { describeThrown, PerkeyError } from '../base/errors.ts';
import type { InboundRequest } from '../contract/calls.ts';
import type { AppendResult } from '../events/append-result.ts';
import { Bookkeeping, type BookkeepingLimits } from '../events/bookkeeping.ts';
import { type CommitAuthor, commitLimits, type CommitNotes, type KeptState, noHead } from '../events/commit.ts';
import type { StateDraft, StateStore, StoredState } from '../events/state-store.ts';
import { loadFailure } from './commit-errors.ts';
import { DurableTurnContext } from './durable-turn-context.ts';
import { HeldActor } from './held-actor.ts';
import type { Decided, Keeping, Settled, Stored } from './keeping.ts';
import { commitIdOf, type NoteLimits, notesOf, remindersOf } from './turn-notes.ts';

export interface StateKeepingOptions {
  readonly services: ContextServices;
  readonly states: StateStore;
  readonly limits: BookkeepingLimits;
  readonly noteLimits: NoteLimits;
  readonly createState: (key: string) => unknown;
}

/** Actors whose state is stored whole, with each turn that changed it. */
export class StateKeeping implements Keeping {
  readonly #o: StateKeepingOptions;

  constructor(options: StateKeepingOptions) {
    this.#o = options;
  }

  contextOf(activation: Activation, request: InboundRequest | undefined, method: HostedMethod | undefined): DurableTurnContext {
    return new DurableTurnContext(activation, request, this.#o.services, method?.changes === true, remindersOf);
  }

  decide(turn: DurableTurn, held: HeldActor, value: unknown): Decided | undefined {
    if (!turn.method.changes) return undefined;
    const { states, services, noteLimits } = this.#o;
    const { activation, ctx } = turn;
    const bytes = encoded(activation);
    const isSame = held.keptState !== undefined && Buffer.compare(bytes, held.keptState) === 0;
    if (isSame && DurableTurnContext.draftsOf(ctx as DurableTurnContext) === undefined) return undefined;
    const at = services.clock.wall();
    const draft = { ...notesOf(turn, held, value, noteLimits), id: commitIdOf(states, turn), at, events: [] };
    return { draft, kept: { state: bytes, bookkeeping: this.#booked(held.books, draft, at) }, state: activation.state };
  }

  /** The books after this commit, which is not yet in them. */
  #booked(books: Bookkeeping, { reply, outbox, reminders }: CommitNotes, at: number): unknown {
    const packed = books.pack(at);
    if (reply === undefined && outbox === undefined && reminders === undefined) return packed;
    const after = Bookkeeping.restore(packed, this.#o.limits);
    after.apply({ reply, outbox, reminders }, at);
    return after.pack(at);
  }

  append({ stream, head, author }: HeldActor, decided: Decided): Promise<AppendResult> {
    return this.#o.states.save(stream, head, author, draftOf(decided));
  }

  advance(_activation: Activation, held: HeldActor, { draft, kept }: Decided): void {
    held.books.apply(draft, draft.at);
    held.keptState = (kept as KeptState).state as Uint8Array;
  }

  undo(activation: Activation, { keptState }: HeldActor): void {
    if (keptState !== undefined) activation.state = decode(keptState, 0, keptState.length, commitLimits);
  }

  async settle(activation: Activation, held: HeldActor, decided: Decided, deadline: number): Promise<Settled> {
    const { stream, head, author } = held;
    const settlement = await this.#o.states.settle(stream, head, author, draftOf(decided), deadline);
    if (settlement.kind === 'unknown') return settlement;
    if (settlement.kind === 'appended') {
      held.head = settlement.head;
      this.advance(activation, held, decided);
      return { kind: 'stored', failure: undefined };
    }
    try {
      held.books = Bookkeeping.restore(settlement.latest.bookkeeping, this.#o.limits);
      held.keptState = bytesOf(settlement.latest);
      held.head = settlement.latest.head;
      this.undo(activation, held);
      return { kind: 'absent', failure: undefined };
    } catch (thrown) {
      return { kind: 'absent', failure: loadFailure(unreadable(settlement.latest, thrown)) };
    }
  }

  async load({ key, slot, type }: Activation, author: CommitAuthor): Promise<Stored> {
    const { states, limits, createState } = this.#o;
    const stream = { type: type.name, key };
    const latest = await states.load(stream);
    if (latest === undefined) {
      const state = createState(key);
      const held = new HeldActor(stream, slot.shard, author, noHead, new Bookkeeping(limits));
      held.keptState = encode(state, commitLimits);
      return { held, state };
    }
    try {
      const held = new HeldActor(stream, slot.shard, author, latest.head, Bookkeeping.restore(latest.bookkeeping, limits));
      held.keptState = bytesOf(latest);
      return { held, state: decode(held.keptState, 0, held.keptState.length, commitLimits) };
    } catch (thrown) {
      throw unreadable(latest, thrown);
    }
  }

  /** The same state again. */
  fence({ held }: Stored): Promise<AppendResult> {
    const { states, services } = this.#o;
    const { stream, head, author, books, keptState } = held;
    const at = services.clock.wall();
    return states.save(stream, head, author, { id: states.newCommitId(), at, state: keptState, bookkeeping: books.pack(at) });
  }
}

function draftOf({ draft, kept }: Decided): StateDraft {
  const { state, bookkeeping } = kept as KeptState;
  return { id: draft.id, at: draft.at, state, bookkeeping };
}

/** A copy: what was read is a part of something larger. */
function bytesOf({ state }: StoredState): Uint8Array {
  if (!(state instanceof Uint8Array)) throw new RangeError('it is of another form');
  return new Uint8Array(state);
}

function unreadable({ head }: StoredState, thrown: unknown): PerkeyError {
  return new PerkeyError('stream.corrupt', `the state in record ${head.sequence} cannot be read: ${describeThrown(thrown)}`);
}

function encoded({ type, state }: Activation): Uint8Array {
  try {
    return encode(state, commitLimits);
  } catch (cause) {
    throw turnRefusal(bareError('state.not_plain', `the state of ${type.name} cannot be stored: ${describeThrown(cause)}`, { cause }));
  }
}
