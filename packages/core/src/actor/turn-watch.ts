import type { Clock, Timer } from '../base/clock.ts';
import type { InboundRequest } from '../contract/calls.ts';
import type { Activation } from './activation.ts';
import type { PendingTurn } from './pending-turn.ts';
import { cancelled, deadlinePassed } from './refusals.ts';
import { TurnContext } from './turn-context.ts';

const sweepMs = 25;

export interface TurnWatchOptions {
  readonly clock: Clock;
  /** Refuses the requests in the actor's mailbox whose deadline has passed. */
  readonly expireWaiting: (activation: Activation, now: number) => void;
  /** Takes the chosen requests out of the actor's mailbox. */
  readonly cancelWaiting: (activation: Activation, chosen: (request: InboundRequest) => boolean) => void;
  /** The same for actors that would run if the guard let them; true while there are any. */
  readonly expireSuspended: (now: number) => boolean;
}

/** One timer for the time limits of all turns that have not settled, and for what waits behind them; it runs only while there are any. */
export class TurnWatch {
  readonly #options: TurnWatchOptions;
  readonly #held = new Set<Activation>();
  #first: PendingTurn | undefined = undefined;
  #size = 0;
  #timer: Timer | undefined = undefined;
  readonly #onTimer = (): void => this.#sweep();

  constructor(options: TurnWatchOptions) {
    this.#options = options;
  }

  /** How many turns and hooks have not settled, without those given up. */
  get size(): number {
    return this.#size;
  }

  add(turn: PendingTurn): void {
    turn.watched = true;
    turn.next = this.#first;
    if (this.#first !== undefined) this.#first.previous = turn;
    this.#first = turn;
    this.#size += 1;
    this.arm();
  }

  remove(turn: PendingTurn): void {
    if (!turn.watched) return;
    turn.watched = false;
    const { previous, next } = turn;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next !== undefined) next.previous = previous;
    turn.previous = undefined;
    turn.next = undefined;
    this.#size -= 1;
  }

  /** Watches the mailbox of a paused actor. */
  hold(activation: Activation): void {
    this.#held.add(activation);
    this.arm();
  }

  release(activation: Activation): void {
    this.#held.delete(activation);
  }

  /** Those whose mailboxes do not move: behind a turn that has not settled, or paused. */
  *blocked(): Generator<Activation> {
    for (let turn = this.#first; turn !== undefined; turn = turn.next) yield turn.activation;
    yield* this.#held;
  }

  /** Aborts the signals of the chosen turns that have not settled, and takes chosen requests out of the mailboxes that do not move. */
  cancel(chosen: (request: InboundRequest) => boolean): void {
    for (const activation of [...this.blocked()]) this.#options.cancelWaiting(activation, chosen);
    for (let turn = this.#first; turn !== undefined; turn = turn.next) {
      if (turn.request !== undefined && chosen(turn.request)) TurnContext.cancel(turn.ctx, cancelled());
    }
  }

  arm(): void {
    this.#timer ??= this.#options.clock.setTimer(sweepMs, this.#onTimer);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #sweep(): void {
    this.#timer = undefined;
    const { clock, expireWaiting, expireSuspended } = this.#options;
    const now = clock.now();
    for (let turn = this.#first; turn !== undefined;) {
      const { next } = turn;
      if (turn.request !== undefined && !turn.overdue && turn.request.deadline <= now) {
        turn.overdue = true;
        TurnContext.abort(turn.ctx, deadlinePassed());
      }
      expireWaiting(turn.activation, now);
      if (turn.timesOutAt <= now) turn.onTimeout(turn);
      turn = next;
    }
    for (const activation of this.#held) expireWaiting(activation, now);
    const isSuspended = expireSuspended(now);
    if (this.#first !== undefined || this.#held.size > 0 || isSuspended) this.arm();
  }
}
