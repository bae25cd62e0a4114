import type { Activation } from '../actor/activation.ts';
import type { HostedMethod } from '../actor/actor-type.ts';
import type { CheckedAggregate, CheckedEvent } from '../actor/checked-aggregate.ts';
import type { DurableTurn } from '../actor/durability.ts';
import { bareError } from '../base/bare-error.ts';
import { deepFreeze } from '../base/deep-freeze.ts';
import { safeText } from '../base/log-text.ts';
import type { InboundRequest } from '../contract/calls.ts';
import type { AppendResult } from '../events/append-result.ts';
import type { ResultListener } from '../events/appender.ts';
import type { BookkeepingLimits } from '../events/bookkeeping.ts';
import type { CommitAuthor, CommitDraft } from '../events/commit.ts';
import { EventCatalogue } from '../events/event-catalogue.ts';
import type { EventStore } from '../events/event-store.ts';
import { applyCommit, type Fold, rehydrate } from '../events/rehydrate.ts';
import { Snapshots } from '../events/snapshots.ts';
import type { StoredEvent } from '../events/stored-event.ts';
import { type AggregateTurnParts, AggregateTurnContext } from './aggregate-turn-context.ts';
import { loadFailure } from './commit-errors.ts';
import type { DurableMetrics } from './durable-metrics.ts';
import { DurableTurnContext } from './durable-turn-context.ts';
import { HeldActor } from './held-actor.ts';
import { HistoryPlaces } from './history-places.ts';
import { readHistory } from './history.ts';
import type { Decided, Keeping, Settled, Stored } from './keeping.ts';
import { ownNotesOf } from './own-notes.ts';
import { commitIdOf, metadataOf, type NoteLimits, notesOf } from './turn-notes.ts';

export interface EventKeepingOptions {
  readonly turns: Omit<AggregateTurnParts, 'historyOf'>;
  readonly events: EventStore;
  readonly snapshots: Snapshots;
  /** 0: never. */
  readonly snapshotEvery: number;
  readonly limits: BookkeepingLimits;
  readonly noteLimits: NoteLimits;
  readonly metrics: DurableMetrics;
}

/** Aggregates: events are stored, the state is their fold. */
export class EventKeeping implements Keeping {
  readonly #o: EventKeepingOptions;
  readonly #turns: AggregateTurnParts;
  readonly #aggregate: CheckedAggregate;
  readonly #catalogue: EventCatalogue;

  constructor(type: string, options: EventKeepingOptions) {
    this.#o = options;
    this.#aggregate = options.turns.aggregate;
    const catalogue = new EventCatalogue(type, this.#aggregate.events.values());
    const { events, snapshots, turns } = options;
    this.#catalogue = catalogue;
    this.#turns = {
      ...turns,
      historyOf(activation, range, signal) {
        const held = HeldActor.of(activation);
        const { stream, head, author } = held;
        const places = (held.places ??= new HistoryPlaces());
        places.note(head);
        const snapshot = snapshots.placeOf(stream, author.epoch);
        if (snapshot !== undefined) places.note(snapshot);
        return readHistory({ events, catalogue, stream, version: head.version, range, places, signal });
      },
    };
  }

  contextOf(activation: Activation, request: InboundRequest | undefined, method: HostedMethod | undefined): DurableTurnContext {
    return new AggregateTurnContext(activation, request, method?.changes === true, this.#turns);
  }

  decide(turn: DurableTurn, held: HeldActor, value: unknown): Decided | undefined {
    const { events: ids, turns, noteLimits } = this.#o;
    const { clock } = turns.services;
    const ctx = turn.ctx as AggregateTurnContext;
    const raised = AggregateTurnContext.raisedOf(ctx);
    const own = ownNotesOf(turn, held, clock);
    if (raised === undefined && own?.isDue !== true && DurableTurnContext.draftsOf(ctx) === undefined) return undefined;
    const id = commitIdOf(ids, turn);
    const notes = notesOf(turn, held, value, own, { limits: noteLimits, clock, commitId: id });
    const draft: CommitDraft = {
      id,
      at: raised === undefined ? clock.wall() : AggregateTurnContext.raisedAtOf(ctx),
      events: raised ?? [],
      metadata: metadataOf(turn),
      reply: notes?.reply,
      outbox: notes?.outbox,
      delivered: notes?.delivered,
      reminders: notes?.reminders,
    };
    return { draft, kept: undefined, state: raised === undefined ? turn.activation.state : AggregateTurnContext.outcomeOf(ctx) };
  }

  send({ stream, head, author }: HeldActor, { draft }: Decided, now: number, listener: ResultListener): void {
    this.#o.events.send(stream, head, author, draft, now, listener);
  }

  /** A snapshot holds the books as of its last commit, so that they are the same with it and without it. */
  advance(activation: Activation, held: HeldActor, { state, draft }: Decided, versionBefore: number): void {
    activation.state = state;
    held.books.apply(draft, draft.at);
    const { snapshotEvery, snapshots } = this.#o;
    const { head, books } = held;
    if (!Snapshots.isDue(versionBefore, head.version, snapshotEvery)) return;
    const bookkeeping = books.pack(draft.at);
    snapshots.save(held.stream, { head, stateVersion: this.#aggregate.stateVersion, state, bookkeeping });
  }

  /** The state was never touched. */
  undo(): void {}

  async settle(activation: Activation, held: HeldActor, { draft }: Decided, deadline: number): Promise<Settled> {
    const { stream, head, author } = held;
    const settlement = await this.#o.events.settle(stream, head, author, draft.id, deadline);
    if (settlement.kind === 'unknown') return settlement;
    const found = settlement.kind === 'appended' ? settlement.tail.find(({ id }) => id === draft.id) : undefined;
    const isOwn = found?.owner === author.owner && found.epoch === author.epoch;
    const what = settlement.kind === 'appended' ? ({ kind: 'stored', isOwn } as const) : ({ kind: 'absent' } as const);
    let { state } = activation;
    try {
      const fold = this.#fold(activation.key);
      for (const commit of settlement.tail) {
        state = applyCommit(fold, state, commit);
        held.books.apply(commit.notes(), commit.at);
      }
    } catch (thrown) {
      return { ...what, failure: loadFailure(thrown) };
    }
    activation.state = deepFreeze(state);
    held.head = settlement.head;
    return { ...what, failure: undefined };
  }

  async load({ key, slot, type }: Activation, author: CommitAuthor, signal: AbortSignal, reached: () => Promise<number>): Promise<Stored> {
    const { events, snapshotEvery, limits, metrics } = this.#o;
    // Of a type that saves none there is nothing to ask for.
    const snapshots = snapshotEvery > 0 ? this.#o.snapshots : undefined;
    const stream = { type: type.name, key };
    const { state, bookkeeping, head, snapshotVersion } = await rehydrate({
      ...{ events, snapshots, stream, limits, signal, reached },
      fold: this.#fold(key),
      epoch: author.epoch,
    });
    metrics.replayed.inc(head.version - snapshotVersion);
    return { held: new HeldActor(stream, slot.shard, author, head, bookkeeping), state: deepFreeze(state) };
  }

  fence({ held: { stream, head, author } }: Stored): Promise<AppendResult> {
    return this.#o.events.fence(stream, head, author);
  }

  snapshotVersion({ stream, author }: HeldActor): number | undefined {
    return this.#o.snapshots.placeOf(stream, author.epoch)?.version;
  }

  #fold(key: string): Fold<unknown> {
    const { initial, events, stateVersion } = this.#aggregate;
    return {
      catalogue: this.#catalogue,
      stateVersion,
      initial: () => deepFreeze(initial(key)),
      apply: (state, event) => evolved(events.get(event.event) as CheckedEvent, state, event),
    };
  }
}

function evolved(kind: CheckedEvent, state: unknown, event: StoredEvent): unknown {
  const { key, version, at, type } = event;
  try {
    return kind.evolve(state, event.data, { key, version, at });
  } catch (cause) {
    const text = `evolve of ${type} threw for the stored event ${version}, ${safeText(event.event, 64)}`;
    throw bareError('event.not_applicable', text, { cause, details: { event: kind.name, version } });
  }
}

/** For the contexts of turns. */
export function versionOf(activation: Activation): number {
  return HeldActor.of(activation).head.version;
}
