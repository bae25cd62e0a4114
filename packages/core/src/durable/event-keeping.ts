import type { Activation } from '../actor/activation.ts';
import type { CheckedAggregate } from '../actor/checked-aggregate.ts';
import type { DurableTurn } from '../actor/durability.ts';
import type { HostedMethod } from '../actor/actor-type.ts';
import { bareError } from '../base/bare-error.ts';
import { PerkeyError } from '../base/errors.ts';
import { safeText } from '../base/log-text.ts';
import type { InboundRequest } from '../contract/calls.ts';
import type { Commit, StreamHead } from '../events/commit.ts';
import type { StoredEvent } from '../events/stored-event.ts';
import { type AggregateTurnParts, AggregateTurnContext } from './aggregate-turn-context.ts';
import { type CommitIds, metadataOf } from './commit-ids.ts';
import type { DurableMetrics } from './durable-metrics.ts';
import { DurableTurnContext } from './durable-turn-context.ts';
import { type Folding, HeldActor } from './held-actor.ts';
import type { Decided, Found, Keeping } from './keeping.ts';
import { follow } from './loader.ts';
import type { Snapshots } from './snapshots.ts';
import { notesOf } from './turn-notes.ts';

/** Aggregates: events are stored, the state is their fold. */
export class EventKeeping implements Keeping {
  readonly recordKind = 'commit';
  readonly #aggregate: CheckedAggregate;
  readonly #turns: AggregateTurnParts;
  readonly #ids: CommitIds;
  readonly #snapshots: Snapshots;
  readonly #metrics: DurableMetrics;

  constructor(turns: AggregateTurnParts, ids: CommitIds, snapshots: Snapshots, metrics: DurableMetrics) {
    this.#aggregate = turns.aggregate;
    this.#turns = turns;
    this.#ids = ids;
    this.#snapshots = snapshots;
    this.#metrics = metrics;
  }

  contextOf(activation: Activation, request: InboundRequest | undefined, method: HostedMethod | undefined): DurableTurnContext {
    return new AggregateTurnContext(activation, request, method?.changes === true, this.#turns);
  }

  decide(turn: DurableTurn, held: HeldActor, value: unknown): Decided | undefined {
    const ctx = turn.ctx as AggregateTurnContext;
    const raised = AggregateTurnContext.raisedOf(ctx);
    const count = raised === undefined ? 0 : raised.length;
    if (count === 0 && DurableTurnContext.draftsOf(ctx) === undefined) return undefined;
    const outcome = count === 0 ? undefined : AggregateTurnContext.outcomeOf(ctx);
    const at = outcome === undefined ? this.#turns.services.clock.wall() : outcome.at;
    const events = raised === undefined ? [] : raised.map(({ event, data }) => ({ name: event.name, schema: event.version, data }));
    return {
      draft: { id: this.#ids.of(turn), at, events, metadata: metadataOf(turn), ...notesOf(turn, value) },
      kept: undefined,
      version: held.head.version + count,
      state: outcome === undefined ? turn.activation.state : outcome.state,
    };
  }

  advance(activation: Activation, held: HeldActor, { state, draft }: Decided): void {
    activation.state = state;
    held.books.apply(draft, draft.at);
  }

  /** The state was never touched. */
  undo(): void {}

  async begin(folding: Folding, key: string, mayShorten: boolean): Promise<boolean> {
    folding.state = this.#aggregate.initial(key);
    return mayShorten && (await this.#snapshots.restore(folding));
  }

  fold(folding: Folding, commit: Commit): void {
    const before = folding.version;
    follow(folding, commit);
    if (commit.kind === 'state') throw new PerkeyError('stream.corrupt', `record ${commit.sequence} is a state among events`);
    for (const event of commit.events) folding.state = this.#evolved(folding, event);
    folding.held.books.apply(commit.notes(), commit.at);
    folding.held.sinceSnapshot += folding.version - before;
    if (commit.events.length > 0) this.#metrics.eventsReplayed.inc(commit.events.length);
  }

  #evolved({ state, held }: Folding, { event: name, schema, data, version, at }: StoredEvent): unknown {
    const event = this.#aggregate.events.get(name);
    const { type, key } = held.subject.stream;
    const what = `event ${version} of a ${type}, ${safeText(name, 64)} version ${schema}`;
    if (event === undefined || schema > event.version || schema < 1) {
      const known = event === undefined ? 'declares no event of that name' : `knows it up to version ${event.version}`;
      throw bareError('event.unknown', `${what}: the definition on this node ${known}`, { details: { event: name, schema } });
    }
    try {
      let present = data;
      for (let step = schema - 1; step < event.upcasters.length; step += 1)
        present = (event.upcasters[step] as (data: unknown) => unknown)(present);
      return event.evolve(state, present, { key, version, at });
    } catch (thrown) {
      throw bareError('event.not_applicable', `${what}: an upcaster or evolve threw`, { cause: thrown, details: { event: name, schema } });
    }
  }

  find(tail: readonly Commit[], _head: StreamHead, id: string): Found {
    const commit = tail.find((one) => one.kind === 'commit' && one.id === id);
    return commit === undefined ? { kind: 'not_stored' } : { kind: 'stored', commit };
  }

  fence(): { readonly kept: undefined } {
    return { kept: undefined };
  }
}

/** For the contexts of turns. */
export function versionOf(activation: Activation): number {
  return HeldActor.of(activation).head.version;
}
