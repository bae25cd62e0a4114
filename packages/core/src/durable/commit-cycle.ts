import type { Activation } from '../actor/activation.ts';
import type { Durability, DurabilityParts, DurableTurn, LoadedActor } from '../actor/durability.ts';
import type { HostedMethod } from '../actor/actor-type.ts';
import { abandoned, expired, shardMoved, turnRefusal } from '../actor/refusals.ts';
import { isThenable } from '../actor/thenable.ts';
import { TurnContext } from '../actor/turn-context.ts';
import { PerkeyError } from '../base/errors.ts';
import type { InboundRequest } from '../contract/calls.ts';
import type { StreamHead } from '../events/commit.ts';
import { refusedAppend, conflictRefusal, tombstoned, unknownCommit } from './commit-errors.ts';
import type { DurableMetrics } from './durable-metrics.ts';
import { DurableTurnContext } from './durable-turn-context.ts';
import { HeldActor } from './held-actor.ts';
import type { Appended, Journal } from './journal.ts';
import type { Decided, Keeping } from './keeping.ts';
import { keptReplies, repeatOf } from './kept-replies.ts';
import type { Loader } from './loader.ts';
import type { Settled, Settler } from './settler.ts';
import type { DurableSettings } from './settings.ts';
import type { Snapshots } from './snapshots.ts';

export interface CommitCycleOptions {
  readonly parts: DurabilityParts;
  readonly settings: DurableSettings;
  readonly journal: Journal;
  readonly keeping: Keeping;
  readonly loader: Loader;
  readonly settler: Settler;
  readonly snapshots: Snapshots | undefined;
  readonly metrics: DurableMetrics;
  /** Appends of which nobody knows yet whether they are stored: the sequence that each expected, by the actor's key. */
  readonly doubts: Map<string, number>;
}

/**
 * The way of a turn into the store.
 *
 * Invariants:
 * - A turn is answered, and its messages leave, only after the store acknowledged its commit, or when it has nothing to store.
 * - A commit expects the very record on which its turn was run. So of two owners that both believe in themselves one is refused.
 * - `not executed` is said only after the log proved that the commit is not stored and never will be: it refused it, or another record stands
 *   in its place. `commit.unknown` is said otherwise, and the actor is loaded again before its next turn.
 * - What is in memory changes only by what is stored.
 */
export class CommitCycle implements Durability {
  readonly #o: CommitCycleOptions;

  constructor(options: CommitCycleOptions) {
    this.#o = options;
  }

  async load(activation: Activation): Promise<LoadedActor> {
    const { held, state } = await this.#o.loader.load(activation);
    const isNew = held.head.sequence === 0;
    return { state, isNew, held, replies: keptReplies(held.books, this.#o.parts.clock.wall()) };
  }

  contextOf(activation: Activation, request: InboundRequest | undefined, method: HostedMethod | undefined): TurnContext {
    return this.#o.keeping.contextOf(activation, request, method);
  }

  isStale(activation: Activation): boolean {
    return activation.extras?.held instanceof HeldActor && activation.extras.held.stale;
  }

  run(turn: DurableTurn): unknown {
    let value: unknown;
    try {
      value = turn.call();
    } catch (thrown) {
      throw this.#failed(turn, thrown);
    }
    if (!isThenable(value)) return this.#conclude(turn, value);
    return value.then(
      (settled) => this.#conclude(turn, settled),
      (thrown: unknown) => {
        throw this.#failed(turn, thrown);
      },
    );
  }

  /** The handler has returned: its value at once, or when the store has acknowledged what it decided. */
  #conclude(turn: DurableTurn, value: unknown): unknown {
    const held = HeldActor.of(turn.activation);
    const decided = this.#decide(turn, held, value);
    if (decided === undefined) {
      DurableTurnContext.release(turn.ctx as DurableTurnContext);
      return value;
    }
    const startedAt = this.#o.parts.clock.now();
    return this.#append(turn, held, decided).then((outcome) => {
      this.#o.metrics.commitSeconds.observe((this.#o.parts.clock.now() - startedAt) / 1_000);
      if (outcome.kind === 'appended') return this.#stored(turn, held, decided, outcome.head, value);
      return this.#doubtful(turn, held, decided, value, outcome);
    });
  }

  #decide(turn: DurableTurn, held: HeldActor, value: unknown): Decided | undefined {
    try {
      return this.#o.keeping.decide(turn, held, value);
    } catch (thrown) {
      throw this.#failed(turn, thrown);
    }
  }

  /** Throws what keeps the record from being made. */
  #append(turn: DurableTurn, held: HeldActor, decided: Decided): Promise<Appended> {
    const { journal, keeping, parts, doubts } = this.#o;
    const { subject, head } = held;
    let body: Uint8Array;
    try {
      if (head.ended) throw tombstoned(parts.type.name);
      const before = { ...head, version: decided.version - decided.draft.events.length };
      body = journal.encode(keeping.recordKind, subject, before, decided.draft, decided.kept);
    } catch (thrown) {
      this.#o.metrics.commit('refused');
      throw this.#failed(turn, thrown instanceof PerkeyError ? turnRefusal(thrown) : thrown);
    }
    doubts.set(turn.activation.key, head.sequence);
    return journal.append(subject, head.sequence, body, decided.version);
  }

  #stored(turn: DurableTurn, held: HeldActor, decided: Decided, head: StreamHead, value: unknown): unknown {
    const { metrics, doubts, keeping, snapshots } = this.#o;
    const { activation, ctx } = turn;
    doubts.delete(activation.key);
    held.head = head;
    keeping.advance(activation, held, decided);
    metrics.commit('stored');
    const { length } = decided.draft.events;
    if (length > 0) metrics.eventsAppended.inc(length);
    held.sinceSnapshot += length;
    snapshots?.consider(activation, held);
    DurableTurnContext.release(ctx as DurableTurnContext);
    return value;
  }

  /** The store did not say yes. What became of the commit is found out, and where it is certainly not stored the handler runs again. */
  async #doubtful(turn: DurableTurn, held: HeldActor, first: Decided, value: unknown, answer: Appended): Promise<unknown> {
    const { parts, settings, metrics, settler, keeping } = this.#o;
    const endsAt = parts.clock.now() + settings.commitTimeoutMs;
    let decided = first;
    let outcome = answer;
    let reply = value;
    for (let runs = 0; ; runs += 1) {
      if (outcome.kind === 'appended') return this.#stored(turn, held, decided, outcome.head, reply);
      if (outcome.kind === 'refused') {
        this.#o.doubts.delete(turn.activation.key);
        metrics.commit('refused');
        throw this.#failed(turn, turnRefusal(refusedAppend(outcome.reason, outcome.text)));
      }
      if (outcome.kind === 'moved') {
        this.#o.doubts.delete(turn.activation.key);
        metrics.commit('refused');
        throw this.#failed(turn, turnRefusal(shardMoved(held.subject.shard, undefined)));
      }
      metrics.commit(outcome.kind);
      const settled = await settler.settle(turn.activation, held, decided.draft.id, outcome.kind === 'unknown', endsAt);
      if (settled.kind === 'stored') return this.#foundStored(turn, held, settled, reply);
      this.#mayRunAgain(turn, held, settled, runs, endsAt);
      const repeat = repeatOf(turn, held.books);
      if (repeat !== undefined) return repeat.value;
      metrics.reruns.inc();
      DurableTurnContext.reset(turn.ctx as DurableTurnContext);
      keeping.undo(turn.activation, held);
      try {
        reply = await turn.call();
      } catch (thrown) {
        throw this.#failed(turn, thrown);
      }
      const again = this.#decide(turn, held, reply);
      if (again === undefined) {
        DurableTurnContext.release(turn.ctx as DurableTurnContext);
        return reply;
      }
      decided = again;
      outcome = await this.#append(turn, held, decided);
    }
  }

  /** The commit is in the log after all, by this turn or by an earlier one with the same idempotency key, whose reply then counts. */
  #foundStored(turn: DurableTurn, held: HeldActor, settled: Settled & { readonly kind: 'stored' }, value: unknown): unknown {
    if (settled.failure !== undefined) held.stale = true;
    const repeat = repeatOf(turn, held.books);
    DurableTurnContext.release(turn.ctx as DurableTurnContext);
    return repeat === undefined ? value : repeat.value;
  }

  /** Throws what the caller hears where the handler does not run again. */
  #mayRunAgain(turn: DurableTurn, held: HeldActor, settled: Exclude<Settled, { kind: 'stored' }>, runs: number, endsAt: number): void {
    const { parts, settings } = this.#o;
    const { subject } = held;
    const now = parts.clock.now();
    let error: PerkeyError | undefined;
    if (settled.kind === 'unknown') {
      held.stale = true;
      error = unknownCommit(parts.type.name);
    } else if (settled.failure !== undefined) {
      held.stale = true;
      error = settled.failure;
    } else if (!TurnContext.isLive(turn.ctx)) error = abandoned();
    else if (held.head.ended) error = tombstoned(parts.type.name);
    else if (!parts.guard.mayAct(now)) error = shardMoved(subject.shard, undefined);
    else if (turn.request !== undefined && turn.request.deadline <= now) error = expired();
    else if (runs >= settings.commitRerunsMax || now >= endsAt) error = conflictRefusal(parts.type.name);
    if (error !== undefined) throw this.#failed(turn, turnRefusal(error));
  }

  /** Nothing of the turn remains. Gives back what it is to end with. */
  #failed(turn: DurableTurn, thrown: unknown): unknown {
    const { activation, ctx } = turn;
    DurableTurnContext.reset(ctx as DurableTurnContext);
    this.#o.keeping.undo(activation, HeldActor.of(activation));
    return thrown;
  }
}
