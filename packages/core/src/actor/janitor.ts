import type { Clock, Timer } from '../base/clock.ts';
import type { Activation } from './activation.ts';
import type { ActorType } from './actor-type.ts';

/** What became due earlier is done together. */
const roundMsMin = 20;
/** Between two looks at the clock. */
const chunk = 64;

export interface JanitorOptions {
  readonly clock: Clock;
  readonly types: readonly ActorType[];
  /** How long one round may hold the event loop. */
  readonly roundMsMax: number;
  /** Passivates the actor, with nothing nested on it. */
  readonly passivate: (activation: Activation) => void;
}

/** Forgets what is old: actors without work, where the definition allows it, and remembered replies. Never in one long pass. */
export class Janitor {
  readonly #o: JanitorOptions;
  #timer: Timer | undefined = undefined;
  #armedFor = Infinity;
  #stopped = false;

  constructor(options: JanitorOptions) {
    this.#o = options;
  }

  /** Something was added that will be due. */
  arm(): void {
    const dueAt = this.#dueAt();
    if (dueAt >= this.#armedFor || this.#stopped) return;
    const now = this.#o.clock.now();
    this.#timer?.cancel();
    this.#armedFor = Math.max(dueAt, now + roundMsMin);
    this.#timer = this.#o.clock.setTimer(this.#armedFor - now, () => this.#round());
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** Passivates one actor of any type that is due for it now; false when none is. */
  makeRoom(): boolean {
    const now = this.#o.clock.now();
    return this.#o.types.some((type) => this.#passivateOne(type, now));
  }

  #dueAt(): number {
    let dueAt = Infinity;
    for (const { order, replies } of this.#o.types) dueAt = Math.min(dueAt, order.dueAt, replies.dueAt);
    return dueAt;
  }

  #round(): void {
    this.#timer = undefined;
    this.#armedFor = Infinity;
    if (this.#stopped) return;
    const { clock, types, roundMsMax } = this.#o;
    const start = clock.now();
    let now = start;
    let isMore = true;
    while (isMore && now - start <= roundMsMax) {
      isMore = false;
      for (const type of types) isMore = this.#work(type, now) || isMore;
      now = clock.now();
    }
    if (isMore) clock.defer(() => this.#round());
    else this.arm();
  }

  /** A bounded piece of work; true when there is more. */
  #work(type: ActorType, now: number): boolean {
    for (let i = 0; i < chunk; i += 1) {
      const isReplyDue = type.replies.dueAt <= now;
      if (isReplyDue) type.replies.removeOldest();
      if (!this.#passivateOne(type, now, false) && !isReplyDue) return false;
    }
    return true;
  }

  /** Looks at the longest unused actor. With `insist`, on until one was passivated. */
  #passivateOne(type: ActorType, now: number, insist = true): boolean {
    const { order } = type;
    while (order.dueAt <= now) {
      const activation = order.oldest as Activation;
      // What keeps an actor here counts as use.
      order.touch(activation, now);
      if (isIdle(activation)) {
        this.#o.passivate(activation);
        return true;
      }
      if (!insist) return true;
    }
    return false;
  }
}

/** Nothing waits for the actor and nothing of it goes on. Timers count, unless the actor itself asked to be given up; what a store remembers too does not. */
export function isIdle(activation: Activation): boolean {
  const { status, queue, pending, extras, type } = activation;
  if ((status !== 'idle' && status !== 'dormant') || queue !== undefined || pending !== undefined) return false;
  if (extras === undefined) return true;
  const { background, replies, timers, wantsPassivation } = extras;
  const isRemembering = replies !== undefined && type.durability === undefined;
  return background === undefined && !isRemembering && (timers === undefined || wantsPassivation);
}
