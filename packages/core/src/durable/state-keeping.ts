import type { Activation } from '../actor/activation.ts';
import type { ContextServices } from '../actor/context-services.ts';
import type { DurableTurn } from '../actor/durability.ts';
import type { HostedMethod } from '../actor/actor-type.ts';
import { turnRefusal } from '../actor/refusals.ts';
import { bareError } from '../base/bare-error.ts';
import { decode, encode } from '../base/codec.ts';
import { describeThrown, PerkeyError } from '../base/errors.ts';
import type { InboundRequest } from '../contract/calls.ts';
import { type Commit, commitLimits, type KeptState, type StreamHead } from '../events/commit.ts';
import { Books, type BooksLimits } from './books.ts';
import { type CommitIds, metadataOf } from './commit-ids.ts';
import { DurableTurnContext } from './durable-turn-context.ts';
import type { Folding, HeldActor } from './held-actor.ts';
import type { Decided, Found, Keeping } from './keeping.ts';
import { notesOf, remindersOf } from './turn-notes.ts';

/** How many commits a record can tell of: as long as no more were missed, it proves which of them were stored. */
const recentMax = 32;

export interface StateKeepingOptions {
  readonly services: ContextServices;
  readonly ids: CommitIds;
  readonly limits: BooksLimits;
  readonly createState: (key: string) => unknown;
}

/** Actors whose state is stored whole, with each turn that changed it. */
export class StateKeeping implements Keeping {
  readonly recordKind = 'state';
  readonly #o: StateKeepingOptions;

  constructor(options: StateKeepingOptions) {
    this.#o = options;
  }

  contextOf(activation: Activation, request: InboundRequest | undefined, method: HostedMethod | undefined): DurableTurnContext {
    return new DurableTurnContext(activation, request, this.#o.services, method?.changes === true, remindersOf);
  }

  decide(turn: DurableTurn, held: HeldActor, value: unknown): Decided | undefined {
    if (!turn.method.changes) return undefined;
    const { activation, ctx } = turn;
    const bytes = encoded(activation);
    const isSame = held.keptState !== undefined && Buffer.compare(bytes, held.keptState) === 0;
    if (isSame && DurableTurnContext.draftsOf(ctx as DurableTurnContext) === undefined) return undefined;
    const id = this.#o.ids.of(turn);
    const at = this.#o.services.clock.wall();
    const notes = notesOf(turn, value);
    return {
      draft: { id, at, events: [], metadata: metadataOf(turn), ...notes },
      kept: keptState(bytes, held.books.with(notes, at), [...held.recent.slice(1 - recentMax), id]),
      version: held.head.version + 1,
      state: activation.state,
    };
  }

  advance(_activation: Activation, held: HeldActor, { draft, kept }: Decided): void {
    held.books.apply(draft, draft.at);
    held.keptState = (kept as KeptState).state as Uint8Array;
    held.recent = [...held.recent.slice(1 - recentMax), draft.id];
  }

  undo(activation: Activation, { keptState: bytes }: HeldActor): void {
    if (bytes !== undefined) activation.state = decode(bytes, 0, bytes.length, commitLimits);
  }

  begin(folding: Folding, key: string): Promise<boolean> {
    folding.state = this.#o.createState(key);
    folding.held.keptState = encode(folding.state, commitLimits);
    return Promise.resolve(false);
  }

  fold(folding: Folding, commit: Commit): void {
    const { state, bookkeeping } = commit.state();
    try {
      if (!(state instanceof Uint8Array) || !Array.isArray(bookkeeping)) throw new TypeError('it is of another form');
      const [books, recent] = bookkeeping as [unknown, readonly string[]];
      folding.state = decode(state, 0, state.length, commitLimits);
      folding.held.books = Books.unpack(books, this.#o.limits);
      folding.held.recent = recent;
      folding.held.keptState = new Uint8Array(state);
      folding.version = commit.version;
      folding.epoch = commit.epoch;
    } catch (thrown) {
      throw new PerkeyError('stream.corrupt', `the state in record ${commit.sequence} cannot be read: ${describeThrown(thrown)}`);
    }
  }

  /** The log keeps the last record only, which names the commits before it. */
  find(tail: readonly Commit[], head: StreamHead, id: string): Found {
    const last = tail.at(-1) as Commit;
    const [, recent] = last.state().bookkeeping as [unknown, readonly string[]];
    if (recent.includes(id)) return { kind: 'stored', commit: last };
    return last.version - head.version <= recent.length ? { kind: 'not_stored' } : { kind: 'unclear' };
  }

  fence({ keptState: bytes, books, recent }: HeldActor): { readonly kept: KeptState } {
    return { kept: keptState(bytes as Uint8Array, books, recent) };
  }
}

function keptState(bytes: Uint8Array, books: Books, recent: readonly string[]): KeptState {
  return { state: bytes, bookkeeping: [books.pack(), recent] };
}

function encoded({ type, state }: Activation): Uint8Array {
  try {
    return encode(state, commitLimits);
  } catch (thrown) {
    const text = `the state of ${type.name} cannot be stored: ${describeThrown(thrown)}`;
    throw turnRefusal(bareError('state.not_plain', text, { cause: thrown }));
  }
}
