import { bareError } from '../base/bare-error.ts';
import type { Clock } from '../base/clock.ts';
import type { ErrorCode, PerkeyError } from '../base/errors.ts';
import type { Guard, InboundRequest } from '../contract/calls.ts';
import type { Activation, Message } from './activation.ts';
import { lineLeast, LinePace } from './line-pace.ts';
import { OwnTurn } from './own-turn.ts';
import { cancelled, expired, quarantined } from './refusals.ts';
import { Ring, RingPool } from './ring.ts';

/** Turns of one actor in a row before the next actor has its go. */
const turnsPerVisit = 32;

/** Who would have to wait for a larger part of its time than this is told at once, while it can still go elsewhere or come back. */
const waitPartMax = 0.5;

export interface SchedulerOptions {
  readonly clock: Clock;
  readonly guard: Guard;
  readonly nodeQueueMax: number;
  readonly yieldAfterMs: number;
  /** One message of an idle actor; returns the time at the end. Must not throw. */
  readonly run: (activation: Activation, message: Message, now: number) => number;
  /** Activates a dormant actor. Afterwards it is idle, or on its way, or gone. */
  readonly activate: (activation: Activation) => void;
  /** A dormant actor has nothing left to be activated for. */
  readonly onUnused: (activation: Activation) => void;
  /** There are actors with work that the guard does not let run. */
  readonly onSuspended: () => void;
  readonly onRefused: (type: string, code: ErrorCode) => void;
  readonly onDefect: (thrown: unknown) => void;
}

/**
 * The mailboxes of a node and whose turn it is. Turns run in slices of the event loop, at once where nothing is in the way, and never nested:
 * what arrives while a turn is on the stack waits for that turn.
 */
export class Scheduler {
  readonly #o: SchedulerOptions;
  readonly #ready = new Ring<Activation>();
  readonly #pool = new RingPool<Message>();
  readonly #pace = new LinePace();
  #waiting = 0;
  /** Those of them whose actors are in line, behind nothing but other turns. */
  #inLine = 0;
  #onStack = false;
  #sliceArmed = false;
  #sliceEnd = 0;
  /** Inside `together`: the end of the last turn. */
  #lastEnd: number | undefined = undefined;
  /** Called whenever what was in line has run, or was stopped. */
  onRest: (() => void) | undefined = undefined;
  readonly #endSlice = (): void => {
    this.#sliceArmed = false;
    this.#kick();
  };

  constructor(options: SchedulerOptions) {
    this.#o = options;
  }

  /** Messages in all mailboxes. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Takes a message for an actor: runs it at once, or queues it, or refuses it. Messages of one actor run in the order of the calls. */
  deliver(activation: Activation, message: Message): void {
    // I7: only an idle actor with an empty mailbox may be run past the queue.
    if (activation.status === 'idle' && !this.#onStack && activation.queue === undefined) {
      const now = this.#lastEnd ?? this.#o.clock.now();
      if (this.#mayRun(now)) {
        this.#runNow(activation, message, now);
        return;
      }
    }
    if (!this.#enqueue(activation, message)) {
      if (activation.status === 'dormant' && activation.queue === undefined) this.#o.onUnused(activation);
      return;
    }
    this.ready(activation);
    if (!this.#onStack) this.#kick();
  }

  /**
   * Runs `deliverAll`, which delivers messages without pause: the end of one turn then counts as the start of the next, which saves every
   * second reading of the clock. A reply is still guarded by a reading of its own.
   */
  together(deliverAll: () => void): void {
    this.#lastEnd = this.#o.clock.now();
    try {
      deliverAll();
    } finally {
      this.#lastEnd = undefined;
    }
  }

  /** Something else than a turn has held the event loop until `now`; inside `together` the next turn does not start before that. */
  heldUntil(now: number): void {
    if (this.#lastEnd !== undefined) this.#lastEnd = now;
  }

  /** Runs `work`, which may end or start turns, with nothing nested on it, then what became ready. */
  enter(work: () => void): void {
    this.#enter(work, undefined, undefined);
  }

  /** The same for what ends a turn that was waited for; then its actor goes on with its mailbox. */
  settle<Turn extends { readonly activation: Activation }>(turn: Turn, finish: (turn: Turn) => void): void {
    this.#enter(finish, turn, turn.activation);
  }

  #enter<Given>(work: (given: Given) => void, given: Given, settled: Activation | undefined): void {
    if (this.#onStack) {
      work(given);
      if (settled !== undefined) this.ready(settled);
      return;
    }
    this.#onStack = true;
    try {
      work(given);
      if (settled !== undefined) this.ready(settled);
    } catch (thrown) {
      this.#o.onDefect(thrown);
    }
    this.#onStack = false;
    this.#kick();
    this.onRest?.();
  }

  /** Puts the actor in line if it has messages and may run. */
  ready(activation: Activation): void {
    if (activation.scheduled || activation.queue === undefined) return;
    if (activation.status !== 'idle' && activation.status !== 'dormant') return;
    activation.scheduled = true;
    this.#inLine += activation.queue.length;
    this.#ready.push(activation);
  }

  /** Goes on with what waits, after the guard said no. */
  resume(): void {
    if (!this.#onStack) this.#kick();
  }

  /** Runs one waiting message of a paused actor, past the line; false when nothing waits. */
  step(activation: Activation): boolean {
    const message = this.#take(activation);
    if (message === undefined) return false;
    this.enter(() => {
      this.#o.run(activation, message, this.#o.clock.now());
    });
    return true;
  }

  /** Refuses all requests in the mailbox, in order; turns that nobody asked for stay. */
  refuseWaiting(activation: Activation, error: PerkeyError): void {
    this.#removeWaiting(activation, (message) => {
      if (message instanceof OwnTurn) return false;
      this.#refuse(activation, message, error);
      return true;
    });
  }

  /** Refuses all requests in the mailbox, in order, and takes those that nobody asked for out. */
  clear(activation: Activation, error: PerkeyError): void {
    this.refuseWaiting(activation, error);
    this.#removeWaiting(activation, () => true);
  }

  /** I8: refuses the requests whose deadline has passed. */
  expireWaiting(activation: Activation, now: number): void {
    if (activation.queue === undefined) return;
    this.#removeWaiting(activation, (message) => {
      if (message instanceof OwnTurn || message.deadline > now) return false;
      this.#refuse(activation, message, expired());
      return true;
    });
  }

  /** Refuses the chosen requests in the mailbox. */
  cancelWaiting(activation: Activation, chosen: (request: InboundRequest) => boolean): void {
    if (activation.queue === undefined) return;
    this.#removeWaiting(activation, (message) => {
      if (message instanceof OwnTurn || !chosen(message)) return false;
      this.#refuse(activation, message, cancelled());
      return true;
    });
  }

  /** The same as `expireWaiting` for all actors that the guard does not let run; false when it lets them. */
  expireSuspended(now: number): boolean {
    if (this.#ready.length === 0 || this.#o.guard.mayAct(now)) return false;
    this.#ready.remove((activation) => {
      this.expireWaiting(activation, now);
      if (activation.queue !== undefined) return false;
      activation.scheduled = false;
      if (activation.status === 'dormant') this.#o.onUnused(activation);
      return true;
    });
    return this.#ready.length > 0;
  }

  /** Gives the messages of one actor to another one of the same key. */
  moveWaiting(from: Activation, to: Activation): void {
    if (from.scheduled && from.queue !== undefined) this.#inLine -= from.queue.length;
    to.queue = from.queue;
    from.queue = undefined;
    this.ready(to);
  }

  /** Those in line. */
  *inLine(): Generator<Activation> {
    const count = this.#ready.length;
    for (let i = 0; i < count; i += 1) {
      const activation = this.#ready.shift() as Activation;
      this.#ready.push(activation);
      yield activation;
    }
  }

  #enqueue(activation: Activation, message: Message): boolean {
    if (!(message instanceof OwnTurn)) {
      const error = this.#noRoom(activation, message);
      if (error !== undefined) {
        this.#refuse(activation, message, error);
        return false;
      }
    }
    (activation.queue ??= this.#pool.take()).push(message);
    this.#waiting += 1;
    if (activation.scheduled) this.#inLine += 1;
    return true;
  }

  #noRoom(activation: Activation, request: InboundRequest): PerkeyError | undefined {
    const { type, queue, status } = activation;
    if (status === 'quarantined') return quarantined(type.name);
    const length = queue === undefined ? 0 : queue.length;
    if (length >= type.definition.mailboxMax) {
      const text = `the mailbox of this ${type.name} holds mailboxMax = ${type.definition.mailboxMax} requests`;
      return bareError('mailbox.full', text, { retryAfterMs: type.estimateMs(length) });
    }
    if (this.#waiting < this.#o.nodeQueueMax) return this.#noTime(request);
    const text = `the node holds nodeQueueMax = ${this.#o.nodeQueueMax} waiting requests`;
    return bareError('node.overloaded', text, { retryAfterMs: type.estimateMs(this.#waiting) });
  }

  /**
   * What waits in line takes longer than the request could wait: it would only make the line longer, and end as expired. The time is that of the
   * last turn, since a reading of the clock for each of many that come at once would cost more than the rest of the question.
   */
  #noTime(request: InboundRequest): PerkeyError | undefined {
    if (this.#inLine < lineLeast) {
      this.#pace.reset();
      return undefined;
    }
    const now = this.#lastEnd ?? this.#pace.lastLeftAt ?? this.#o.clock.now();
    const waitMs = this.#pace.estimateMs(this.#inLine, now);
    if (waitMs <= (request.deadline - now) * waitPartMax) return undefined;
    const text = `what waits on this node takes about ${Math.ceil(waitMs)} ms, too long for the time that the request has`;
    return bareError('node.overloaded', text, { retryAfterMs: Math.min(30_000, Math.ceil(waitMs)) });
  }

  #refuse(activation: Activation, request: InboundRequest, error: PerkeyError): void {
    this.#o.onRefused(activation.type.name, error.code);
    request.reply.error(request.id, error);
  }

  #take(activation: Activation): Message | undefined {
    const { queue } = activation;
    const message = queue?.shift();
    if (queue === undefined || message === undefined) return undefined;
    this.#waiting -= 1;
    if (activation.scheduled) this.#inLine -= 1;
    this.#dropIfEmpty(activation);
    return message;
  }

  #removeWaiting(activation: Activation, unwanted: (message: Message) => boolean): void {
    const { queue } = activation;
    if (queue === undefined) return;
    const before = queue.length;
    queue.remove(unwanted);
    this.#waiting -= before - queue.length;
    if (activation.scheduled) this.#inLine -= before - queue.length;
    this.#dropIfEmpty(activation);
    if (activation.slot.phase !== 'open') activation.slot.settled(activation);
  }

  #dropIfEmpty(activation: Activation): void {
    if (activation.queue === undefined || activation.queue.length > 0) return;
    this.#pool.give(activation.queue);
    activation.queue = undefined;
  }

  /** A slice has time left and the guard says yes. The first question of a slice starts it; it ends when the event loop comes round. */
  #mayRun(now: number): boolean {
    if (!this.#o.guard.mayAct(now)) return false;
    if (!this.#sliceArmed) {
      this.#sliceArmed = true;
      this.#sliceEnd = now + this.#o.yieldAfterMs;
      this.#o.clock.defer(this.#endSlice);
    }
    return now < this.#sliceEnd;
  }

  #goesOn(now: number): boolean {
    return now < this.#sliceEnd && this.#o.guard.mayAct(now);
  }

  #kick(): void {
    if (this.#ready.length === 0) return;
    const now = this.#o.clock.now();
    if (this.#mayRun(now)) this.#drain(now);
    if (this.#ready.length > 0 && !this.#o.guard.mayAct(now)) this.#o.onSuspended();
  }

  #runNow(activation: Activation, message: Message, start: number): void {
    let now = start;
    this.#onStack = true;
    try {
      now = this.#o.run(activation, message, now);
    } catch (thrown) {
      this.#o.onDefect(thrown);
    }
    this.#onStack = false;
    if (this.#lastEnd !== undefined) this.#lastEnd = now;
    if (activation.queue !== undefined) this.ready(activation);
    if (this.#ready.length > 0 && this.#goesOn(now)) this.#drain(now);
  }

  /** Runs what is in line until nothing is, or the slice ends, or the guard says no. `now` was asked for all three. */
  #drain(start: number): void {
    let now = start;
    this.#onStack = true;
    try {
      while (this.#goesOn(now)) {
        const activation = this.#ready.shift();
        if (activation === undefined) break;
        activation.scheduled = false;
        this.#inLine -= activation.queue?.length ?? 0;
        now = this.#visit(activation, now);
        if (activation.slot.phase !== 'open') activation.slot.settled(activation);
        this.ready(activation);
      }
    } catch (thrown) {
      this.#o.onDefect(thrown);
    }
    this.#onStack = false;
    this.onRest?.();
  }

  #visit(activation: Activation, start: number): number {
    let now = start;
    if (activation.status === 'dormant') {
      this.expireWaiting(activation, now);
      if (activation.queue === undefined) {
        this.#o.onUnused(activation);
        return now;
      }
      this.#o.activate(activation);
      now = this.#o.clock.now();
    }
    for (let turns = 0; turns < turnsPerVisit && activation.status === 'idle' && this.#goesOn(now); turns += 1) {
      const message = this.#take(activation);
      if (message === undefined) break;
      this.#pace.left(now);
      now = this.#o.run(activation, message, now);
    }
    return now;
  }
}
