import type { Activation } from '../actor/activation.ts';
import type { HostedMethod } from '../actor/actor-type.ts';
import { type Durability, type DurabilityParts, type DurableTurn, LaterOutcome, type LoadedActor } from '../actor/durability.ts';
import { abandoned, expired, shardMoved, turnRefusal } from '../actor/refusals.ts';
import { isThenable } from '../base/thenable.ts';
import { TurnContext } from '../actor/turn-context.ts';
import type { PerkeyError } from '../base/errors.ts';
import type { DurableInspection } from '../actor/inspection.ts';
import type { InboundRequest } from '../contract/calls.ts';
import type { AppendResult } from '../events/append-result.ts';
import type { ResultListener } from '../events/appender.ts';
import type { StreamHead } from '../events/commit.ts';
import { conflictRefusal, loadFailure, tombstoned, unknownCommit } from './commit-errors.ts';
import type { Doubts } from './doubts.ts';
import type { DurableMetrics } from './durable-metrics.ts';
import { DurableTurnContext } from './durable-turn-context.ts';
import type { FenceLog } from './fence-log.ts';
import { HeldActor } from './held-actor.ts';
import { inspectHeld } from './inspect-held.ts';
import type { Decided, Keeping, Settled } from './keeping.ts';
import { keptReplies, repeatOf } from './kept-replies.ts';
import type { Loader } from './loader.ts';
import { isWake } from './own-notes.ts';
import { ReminderCall } from './reminders/reminder-call.ts';
import type { DurableSettings } from './settings.ts';
import type { Duties } from './wakes/duties.ts';

export interface CommitCycleOptions {
  readonly parts: DurabilityParts;
  readonly settings: DurableSettings;
  readonly keeping: Keeping;
  readonly loader: Loader;
  readonly fenceLog: FenceLog;
  readonly metrics: DurableMetrics;
  /** The lease, asked in the step in which a record goes to the store. */
  readonly mayAct: (now: number) => boolean;
  /** Asked before: the store may hold records of the shard. */
  readonly mayStore: (shard: number, epoch: number) => true | Promise<boolean>;
  /** Undefined: messages are not delivered here, and reminders not called. */
  readonly duties: Duties | undefined;
  readonly doubts: Doubts;
}

/** Nothing was sent: this node may not write for the shard. */
const moved = Object.freeze({ kind: 'moved' as const });

/** Nothing was sent: what the commit makes necessary could not be written down before. */
interface Uncovered {
  readonly kind: 'uncovered';
  readonly error: PerkeyError;
}

type Answer = AppendResult | Uncovered | typeof moved;

interface AnswerListener extends ResultListener {
  onAnswer(answer: Answer): void;
}

/** A turn of which the first commit is on its way to the store. */
class Concluding extends LaterOutcome implements AnswerListener {
  readonly turn: DurableTurn;
  readonly held: HeldActor;
  readonly decided: Decided;
  readonly value: unknown;
  readonly #metrics: DurableMetrics;
  readonly #answered: (concluding: Concluding, answer: Answer) => void;

  constructor(
    turn: DurableTurn,
    held: HeldActor,
    decided: Decided,
    value: unknown,
    metrics: DurableMetrics,
    answered: (concluding: Concluding, answer: Answer) => void,
  ) {
    super();
    this.turn = turn;
    this.held = held;
    this.decided = decided;
    this.value = value;
    this.#metrics = metrics;
    this.#answered = answered;
  }

  onResult(result: AppendResult, ms: number): void {
    this.#metrics.commitSeconds.observe(ms / 1_000);
    this.#answered(this, result);
  }

  onAnswer(answer: Answer): void {
    this.#answered(this, answer);
  }
}

function promised(value: unknown): unknown {
  if (!(value instanceof LaterOutcome)) return value;
  return new Promise((resolve, reject) => value.listen({ onValue: resolve, onThrown: reject }));
}

/**
 * The way of a turn into the store.
 *
 * Invariants:
 * - A turn is answered, and its messages leave, only after the store acknowledged its commit, or when it has nothing to store.
 * - A commit expects the very record on which its turn was run. So of two owners that both believe in themselves one is refused.
 * - `not executed` is said only after the log proved that the commit is not stored and never will be: it refused it, or another record stands
 *   in its place. `commit.unknown` is said otherwise, and the actor is loaded again before its next turn.
 * - A command with an idempotency key of which the store holds the reply does not run: its effect is there.
 * - What is in memory changes only by what is stored.
 * - A turn that was given up with its shard sends nothing more: another activation of the actor, under the same epoch, would not know of it.
 */
export class CommitCycle implements Durability {
  readonly #o: CommitCycleOptions;

  constructor(options: CommitCycleOptions) {
    this.#o = options;
  }

  async load(activation: Activation): Promise<LoadedActor> {
    const { held, state } = await this.#o.loader.load(activation);
    this.#o.duties?.seen(activation, held);
    const isNew = held.head.sequence === 0;
    return { state, isNew, held, replies: keptReplies(held.books, this.#o.parts.clock.wall()) };
  }

  contextOf(activation: Activation, request: InboundRequest | undefined, method: HostedMethod | undefined): TurnContext {
    return this.#o.keeping.contextOf(activation, request, method);
  }

  isStale(activation: Activation): boolean {
    return activation.extras?.held instanceof HeldActor && activation.extras.held.stale;
  }

  removed(activation: Activation): void {
    this.#o.duties?.removed(activation);
  }

  inspect(activation: Activation): DurableInspection | undefined {
    const held = activation.extras?.held;
    return held instanceof HeldActor ? inspectHeld(held, this.#o.keeping.snapshotVersion(held)) : undefined;
  }

  run(given: DurableTurn): unknown {
    const turn = given.request instanceof ReminderCall ? ofReminder(given, given.request) : given;
    if (isWake(turn)) this.#o.duties?.seen(turn.activation, HeldActor.of(turn.activation));
    if (turn.request?.idempotencyKey !== undefined) {
      // The window of replies may have let it go for others; what is stored counts.
      const known = this.#repeat(turn, HeldActor.of(turn.activation));
      if (known !== undefined) return this.#released(turn, known.value);
    }
    let value: unknown;
    try {
      value = turn.call();
    } catch (thrown) {
      throw this.#failed(turn, thrown);
    }
    if (!isThenable(value)) return this.#conclude(turn, value);
    return value.then(
      (settled) => promised(this.#conclude(turn, settled)),
      (thrown: unknown) => {
        throw this.#failed(turn, thrown);
      },
    );
  }

  /** The handler has returned: its value at once, or when the store has acknowledged what it decided. */
  #conclude(turn: DurableTurn, value: unknown): unknown {
    const held = HeldActor.of(turn.activation);
    const decided = this.#decide(turn, held, value);
    if (decided === undefined) return this.#released(turn, value);
    const concluding = new Concluding(turn, held, decided, value, this.#o.metrics, this.#onAnswer);
    this.#append(turn, held, decided, concluding);
    return concluding;
  }

  readonly #onAnswer = (concluding: Concluding, answer: Answer): void => {
    const { turn, held, decided, value } = concluding;
    if (answer.kind !== 'appended') {
      this.#doubtful(turn, held, decided, value, answer).then(
        (settled) => this.#end(concluding, false, settled),
        (thrown: unknown) => this.#end(concluding, true, thrown),
      );
      return;
    }
    let stored: unknown;
    try {
      stored = this.#stored(turn, held, decided, answer.head, value);
    } catch (thrown) {
      return this.#end(concluding, true, thrown);
    }
    this.#end(concluding, false, stored);
  };

  /** Never throws: the store tells others after this one. */
  #end(concluding: Concluding, isThrown: boolean, settled: unknown): void {
    try {
      this.#o.duties?.committed(concluding.turn.activation, concluding.held);
    } catch (thrown) {
      return concluding.reject(thrown);
    }
    if (isThrown) concluding.reject(settled);
    else concluding.resolve(settled);
  }

  #decide(turn: DurableTurn, held: HeldActor, value: unknown): Decided | undefined {
    try {
      const decided = this.#o.keeping.decide(turn, held, value);
      DurableTurnContext.decide(turn.ctx as DurableTurnContext);
      return decided;
    } catch (thrown) {
      throw this.#failed(turn, thrown);
    }
  }

  /** The listener is told once. */
  #append(turn: DurableTurn, held: HeldActor, decided: Decided, listener: AnswerListener): void {
    if (turn.activation.slot.hasLeft) return listener.onAnswer(moved);
    const mayStore = this.#o.mayStore(held.shard, held.author.epoch);
    if (mayStore === true) return this.#cover(turn, held, decided, listener);
    mayStore.then(
      (isAllowed) => {
        if (isAllowed) this.#cover(turn, held, decided, listener);
        else listener.onAnswer(moved);
      },
      () => listener.onAnswer(moved),
    );
  }

  /** What the commit makes necessary, a record of wakes says before. */
  #cover(turn: DurableTurn, held: HeldActor, decided: Decided, listener: AnswerListener): void {
    const covered = this.#o.duties?.covered(turn.activation, held, decided.draft);
    if (covered === undefined) return this.#send(turn, held, decided, listener);
    covered.then(
      () => this.#send(turn, held, decided, listener),
      (thrown: unknown) => listener.onAnswer({ kind: 'uncovered', error: loadFailure(thrown) }),
    );
  }

  #send({ activation }: DurableTurn, held: HeldActor, decided: Decided, listener: AnswerListener): void {
    const { parts, mayAct, doubts, keeping } = this.#o;
    const now = parts.clock.now();
    if (!mayAct(now) || activation.slot.hasLeft) return listener.onAnswer(moved);
    doubts.begin(activation.key, held.head.sequence);
    keeping.send(held, decided, now, listener);
  }

  #stored(turn: DurableTurn, held: HeldActor, decided: Decided, head: StreamHead, value: unknown): unknown {
    const { doubts, keeping } = this.#o;
    const { version, sequence } = held.head;
    doubts.end(turn.activation.key, sequence);
    held.head = head;
    keeping.advance(turn.activation, held, decided, version);
    return this.#released(turn, value);
  }

  /** What the turn wants done is done now. */
  #released(turn: DurableTurn, value: unknown): unknown {
    DurableTurnContext.release(turn.ctx as DurableTurnContext);
    return value;
  }

  /** The store did not say yes. What became of the commit is found out, and where it is certainly not stored the handler runs again. */
  async #doubtful(turn: DurableTurn, held: HeldActor, first: Decided, value: unknown, firstAnswer: Answer): Promise<unknown> {
    const { parts, settings, metrics } = this.#o;
    const deadline = parts.clock.now() + settings.commitSettleMs;
    let decided = first;
    let reply = value;
    let answer = firstAnswer;
    for (let runs = 0; ; runs += 1) {
      if (answer.kind === 'appended') return this.#stored(turn, held, decided, answer.head, reply);
      const settled = await this.#settled(turn, held, decided, answer, deadline);
      if (settled.kind === 'stored') return this.#foundStored(turn, held, settled, reply);
      this.#mustMayRunAgain(turn, held, settled, runs, deadline);
      const known = this.#repeat(turn, held);
      if (known !== undefined) return this.#answered(turn, known.value);
      metrics.reruns.inc();
      reply = await this.#runAgain(turn, held);
      const again = this.#decide(turn, held, reply);
      if (again === undefined) return this.#released(turn, reply);
      decided = again;
      answer = await new Promise<Answer>((resolve) => {
        this.#append(turn, held, again, { onResult: resolve, onAnswer: resolve });
      });
    }
  }

  /** Throws what the caller hears where the store said for certain that nothing is stored. */
  async #settled(
    turn: DurableTurn,
    held: HeldActor,
    decided: Decided,
    answer: Exclude<Answer, { readonly kind: 'appended' }>,
    deadline: number,
  ): Promise<Settled> {
    const { doubts, keeping, metrics } = this.#o;
    const { key } = turn.activation;
    const { sequence } = held.head;
    if (answer.kind === 'refused' || answer.kind === 'uncovered' || answer.kind === 'moved' || answer.kind === 'fenced') {
      if (answer.kind === 'refused') doubts.end(key, sequence);
      const error = 'error' in answer ? answer.error : shardMoved(held.shard, undefined);
      throw this.#failed(turn, turnRefusal(error));
    }
    if (answer.kind === 'conflict') metrics.conflicts.inc();
    const settled = await keeping.settle(turn.activation, held, decided, deadline);
    if (settled.kind === 'unknown') metrics.unknown.inc();
    else if (settled.failure === undefined) doubts.seen(key, sequence, held.head.sequence);
    return settled;
  }

  async #runAgain(turn: DurableTurn, held: HeldActor): Promise<unknown> {
    DurableTurnContext.reset(turn.ctx as DurableTurnContext);
    this.#o.keeping.undo(turn.activation, held);
    try {
      return await turn.call();
    } catch (thrown) {
      throw this.#failed(turn, thrown);
    }
  }

  /** The commit is in the log after all, by this turn or by another execution with the same idempotency key, whose reply then counts. */
  #foundStored(turn: DurableTurn, held: HeldActor, { isOwn, failure }: Settled & { readonly kind: 'stored' }, value: unknown): unknown {
    if (failure !== undefined || held.head.epoch > held.author.epoch) held.stale = true;
    const known = this.#repeat(turn, held);
    const reply = known === undefined ? value : known.value;
    return isOwn ? this.#released(turn, reply) : this.#answered(turn, reply);
  }

  /** Another execution of the command is what counts: it has sent its messages, and this one sends none. */
  #answered(turn: DurableTurn, value: unknown): unknown {
    DurableTurnContext.reset(turn.ctx as DurableTurnContext);
    return value;
  }

  #repeat(turn: DurableTurn, held: HeldActor): { readonly value: unknown } | undefined {
    try {
      return repeatOf(turn, held.books, this.#o.parts.clock.wall());
    } catch (thrown) {
      throw this.#failed(turn, thrown);
    }
  }

  /** Throws what the caller hears where the handler does not run again. */
  #mustMayRunAgain(
    turn: DurableTurn,
    held: HeldActor,
    settled: Settled & { readonly kind: 'absent' | 'unknown' | 'stored' },
    runs: number,
    deadline: number,
  ): void {
    const { parts, settings, fenceLog } = this.#o;
    const { type, clock } = parts;
    const now = clock.now();
    const isFenced = settled.kind !== 'unknown' && settled.failure === undefined && held.head.epoch > held.author.epoch;
    let error: PerkeyError | undefined;
    if (settled.kind === 'unknown') error = unknownCommit(type.name);
    else if (settled.failure !== undefined) error = settled.failure;
    else if (isFenced) error = shardMoved(held.shard, undefined);
    if (error !== undefined) held.stale = true;
    else if (!TurnContext.isLive(turn.ctx)) error = abandoned();
    else if (held.head.ended) error = tombstoned(type.name);
    else if (!this.#o.mayAct(now)) error = shardMoved(held.shard, undefined);
    else if (turn.request !== undefined && turn.request.deadline <= now) error = expired();
    else if (runs >= settings.commitRerunsMax || now >= deadline) error = conflictRefusal(type.name);
    if (isFenced) fenceLog.rejected(held);
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

/** The handler is called only while the reminder is due, each time it would run. */
function ofReminder(turn: DurableTurn, request: ReminderCall): DurableTurn {
  const { activation, ctx, method } = turn;
  const callIfDue = (): unknown => {
    if (request.dueIn(HeldActor.of(activation).books) === undefined) return undefined;
    request.wasRun = true;
    return turn.call();
  };
  return { activation, ctx, request, method, call: callIfDue };
}
