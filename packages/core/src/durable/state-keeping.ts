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
import type { ResultListener } from '../events/appender.ts';
import { Bookkeeping, type BookkeepingLimits } from '../events/bookkeeping.ts';
import { type CommitAuthor, commitLimits, type CommitNotes, type KeptState, noHead } from '../events/commit.ts';
import type { StateDraft, StateStore, StoredState } from '../events/state-store.ts';
import { loadFailure } from './commit-errors.ts';
import { DurableTurnContext } from './durable-turn-context.ts';
import { HeldActor } from './held-actor.ts';
import type { Decided, Keeping, Settled, Stored } from './keeping.ts';
import { ownNotesOf } from './own-notes.ts';
import { commitIdOf, type NoteLimits, notesOf, remindersOf } from './turn-notes.ts';

/** How many commits a record can tell of: as long as no more were missed, it proves which of them were stored. */
const recentMax = 32;

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
    const { states, services, noteLimits } = this.#o;
    const at = services.clock.wall();
    const own = ownNotesOf(turn, held, services.clock);
    const isDue = own?.isDue === true;
    if (!turn.method.changes && !isDue) return undefined;
    const { activation, ctx } = turn;
    const bytes = encoded(activation);
    const isSame = held.keptState !== undefined && Buffer.compare(bytes, held.keptState) === 0;
    if (isSame && !isDue && DurableTurnContext.draftsOf(ctx as DurableTurnContext) === undefined) return undefined;
    const id = commitIdOf(states, turn);
    const notes = notesOf(turn, held, value, own, { limits: noteLimits, clock: services.clock, commitId: id });
    const draft = { ...notes, id, at, events: [] };
    return {
      draft,
      kept: { state: bytes, bookkeeping: [this.#booked(held.books, draft, at), withRecent(held, draft.id)] },
      state: activation.state,
    };
  }

  /** The books after this commit, which is not yet in them. */
  #booked(books: Bookkeeping, { reply, outbox, delivered, reminders }: CommitNotes, at: number): unknown {
    const packed = books.pack(at);
    if (reply === undefined && outbox === undefined && delivered === undefined && reminders === undefined) return packed;
    const after = Bookkeeping.restore(packed, this.#o.limits);
    after.apply({ reply, outbox, delivered, reminders }, at);
    return after.pack(at);
  }

  send({ stream, head, author }: HeldActor, decided: Decided, now: number, listener: ResultListener): void {
    this.#o.states.send(stream, head, author, draftOf(decided), now, listener);
  }

  advance(_activation: Activation, held: HeldActor, { draft, kept }: Decided): void {
    held.books.apply(draft, draft.at);
    held.keptState = (kept as KeptState).state as Uint8Array;
    held.recent = withRecent(held, draft.id);
  }

  undo(activation: Activation, held: HeldActor): void {
    activation.state = stateOf(held);
  }

  async settle(activation: Activation, held: HeldActor, decided: Decided, deadline: number): Promise<Settled> {
    const { stream, head, author } = held;
    const { id } = decided.draft;
    const isStoredBefore = (latest: StoredState): boolean | undefined => tells(latest, head.version, id);
    const settlement = await this.#o.states.settle(stream, head, author, draftOf(decided), deadline, isStoredBefore);
    if (settlement.kind === 'unknown') return settlement;
    const { latest } = settlement;
    if (settlement.kind === 'appended' && latest === undefined) {
      held.head = settlement.head;
      this.advance(activation, held, decided);
      return { kind: 'stored', isOwn: true, failure: undefined };
    }
    const isOwn = latest?.id === id && latest.head.owner === author.owner && latest.head.epoch === author.epoch;
    const what = settlement.kind === 'appended' ? ({ kind: 'stored', isOwn } as const) : ({ kind: 'absent' } as const);
    try {
      this.#take(held, latest as StoredState);
      this.undo(activation, held);
      return { ...what, failure: undefined };
    } catch (thrown) {
      return { ...what, failure: loadFailure(thrown) };
    }
  }

  /** Throws `stream.corrupt`, and leaves the actor as it was. */
  #take(held: HeldActor, latest: StoredState): void {
    try {
      const { books, recent } = partsOf(latest);
      held.books = Bookkeeping.restore(books, this.#o.limits);
      held.keptState = bytesOf(latest);
      held.recent = recent;
      held.head = latest.head;
    } catch (thrown) {
      throw new PerkeyError('stream.corrupt', `the state in record ${latest.head.sequence} cannot be read: ${describeThrown(thrown)}`);
    }
  }

  async load({ key, slot, type }: Activation, author: CommitAuthor, _signal: AbortSignal, reached: () => Promise<number>): Promise<Stored> {
    const { states, limits, createState } = this.#o;
    const stream = { type: type.name, key };
    const latest = await states.load(stream, reached);
    if (latest === undefined) {
      const state = createState(key);
      const held = new HeldActor(stream, slot.shard, author, noHead, new Bookkeeping(limits));
      held.keptState = encode(state, commitLimits);
      return { held, state };
    }
    const held = new HeldActor(stream, slot.shard, author, latest.head, new Bookkeeping(limits));
    this.#take(held, latest);
    return { held, state: stateOf(held) };
  }

  snapshotVersion(): undefined {}

  /** The same state again. */
  fence({ held }: Stored): Promise<AppendResult> {
    const { states, services } = this.#o;
    const { stream, head, author, books, keptState } = held;
    const at = services.clock.wall();
    const id = states.newCommitId();
    const recent = withRecent(held, id);
    held.recent = recent;
    return states.save(stream, head, author, { id, at, state: keptState, bookkeeping: [books.pack(at), recent] });
  }
}

function withRecent({ recent }: HeldActor, id: string): readonly string[] {
  return [...recent.slice(1 - recentMax), id];
}

/** Whether a later state says that the commit of this id was stored behind the version. */
function tells(latest: StoredState, version: number, id: string): boolean | undefined {
  const { recent } = partsOf(latest);
  if (recent.includes(id)) return true;
  return latest.head.version - version <= recent.length ? false : undefined;
}

function partsOf({ bookkeeping }: StoredState): { readonly books: unknown; readonly recent: readonly string[] } {
  const [books, recent] = Array.isArray(bookkeeping) ? (bookkeeping as unknown[]) : [];
  if (!Array.isArray(recent)) throw new RangeError('its bookkeeping has another form');
  return { books, recent };
}

function stateOf({ keptState }: HeldActor): unknown {
  if (keptState === undefined) throw new TypeError('the actor was not loaded');
  return decode(keptState, 0, keptState.length, commitLimits);
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

function encoded({ type, state }: Activation): Uint8Array {
  try {
    return encode(state, commitLimits);
  } catch (cause) {
    throw turnRefusal(bareError('state.not_plain', `the state of ${type.name} cannot be stored: ${describeThrown(cause)}`, { cause }));
  }
}
