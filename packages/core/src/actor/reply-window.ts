import { bareError } from '../base/bare-error.ts';
import type { PerkeyError } from '../base/errors.ts';
import { copyPlain } from '../base/plain.ts';
import type { InboundRequest } from '../contract/calls.ts';
import type { Activation } from './activation.ts';
import type { KeptReply } from './durability.ts';
import { packReply, unpackReply } from './packed-reply.ts';
import type { PackedReply, ReplyOutcome } from './packed-reply.ts';

export interface ReplyWindowLimits {
  /** Per actor; 0 remembers nothing. */
  readonly countMax: number;
  readonly ageMs: number;
  /** For all actors of the type on this node. */
  readonly entriesMax: number;
}

/** One idempotency key of one actor, in the type's list by age. */
export interface RememberedReply {
  readonly activation: Activation;
  readonly idempotencyKey: string;
  readonly method: string;
  readonly caller: string;
  /** Monotonic ms. */
  readonly at: number;
  /** Absent while the turn runs, and for good when it was abandoned: then nobody knows how far it came. */
  outcome: ReplyOutcome | undefined;
  older: RememberedReply | undefined;
  newer: RememberedReply | undefined;
}

/** What a request with an idempotency key finds. */
export type Remembered = { readonly kind: 'new' } | { readonly kind: 'refused'; readonly error: PerkeyError } | ReplyOutcome;

const isNew: Remembered = { kind: 'new' };

/**
 * The replies that the actors of one type remember by idempotency key (I4). A repeat gets the first outcome; it never runs the handler again,
 * also not where the first turn was abandoned. Bounded per actor by count and age, and for the type by count; the oldest go first.
 */
export class ReplyWindow {
  readonly #limits: ReplyWindowLimits;
  readonly #onFirst: () => void;
  #oldest: RememberedReply | undefined = undefined;
  #newest: RememberedReply | undefined = undefined;
  #size = 0;

  /** `onFirst` is called when the window held nothing and now does. */
  constructor(limits: ReplyWindowLimits, onFirst: () => void) {
    this.#limits = limits;
    this.#onFirst = onFirst;
  }

  get size(): number {
    return this.#size;
  }

  /** When the oldest entry is too old; `Infinity` when there is none. */
  get dueAt(): number {
    return this.#oldest === undefined ? Infinity : this.#oldest.at + this.#limits.ageMs;
  }

  /** What is known of the request's key; for a new one, an entry is begun. */
  begin(activation: Activation, request: InboundRequest, now: number): Remembered {
    const idempotencyKey = request.idempotencyKey as string;
    const caller = callerOf(request);
    const entry = activation.extras?.replies?.get(idempotencyKey);
    if (entry === undefined || entry.at + this.#limits.ageMs <= now) {
      if (entry !== undefined) this.#remove(entry);
      const { method } = request;
      this.#add({ activation, idempotencyKey, method, caller, at: now, outcome: undefined, older: undefined, newer: undefined });
      return isNew;
    }
    if (entry.method !== request.method || entry.caller !== caller) {
      const text = 'the idempotency key was used before for another method or by another caller';
      return { kind: 'refused', error: bareError('idempotency.mismatch', text) };
    }
    if (entry.outcome === undefined) {
      const text = 'the first turn with this idempotency key was abandoned; it may have been executed in part';
      return { kind: 'refused', error: bareError('turn.abandoned', text) };
    }
    return entry.outcome;
  }

  /** The turn that `begin` found new has run. */
  complete(activation: Activation, idempotencyKey: string, outcome: ReplyOutcome): void {
    const entry = activation.extras?.replies?.get(idempotencyKey);
    if (entry !== undefined) entry.outcome = outcome.kind === 'ok' ? ownCopy(outcome.value) : outcome;
  }

  /** The turn that `begin` found new was refused before its handler ran. */
  forget(activation: Activation, idempotencyKey: string): void {
    const entry = activation.extras?.replies?.get(idempotencyKey);
    if (entry !== undefined) this.#remove(entry);
  }

  /** Removes the oldest entry. */
  removeOldest(): void {
    if (this.#oldest !== undefined) this.#remove(this.#oldest);
  }

  forgetAll(activation: Activation): void {
    const replies = activation.extras?.replies;
    if (replies === undefined) return;
    for (const entry of replies.values()) this.#remove(entry);
  }

  /** The actor's entries as plain data; undefined when it has none. */
  carryOut(activation: Activation, now: number): readonly PackedReply[] | undefined {
    const replies = activation.extras?.replies;
    if (replies === undefined || replies.size === 0) return undefined;
    return Array.from(replies.values(), (entry) => packReply(entry, now));
  }

  /** Takes what `carryOut` gave on another node; what is not of its form is left out. */
  carryIn(activation: Activation, packed: unknown, now: number): void {
    if (!Array.isArray(packed)) return;
    for (const item of packed) {
      const reply = unpackReply(item);
      if (reply !== undefined) this.#add({ ...reply, activation, at: now - reply.ageMs, older: undefined, newer: undefined });
    }
  }

  /**
   * Takes what the actor's store remembers. A reply that this node knows itself stays. A turn that was given up before is no longer in doubt:
   * its effect is in what was loaded, with its reply, or nowhere, so that its repeat may run.
   */
  restore(activation: Activation, kept: readonly KeptReply[], now: number): void {
    for (const entry of [...(activation.extras?.replies?.values() ?? [])]) if (entry.outcome === undefined) this.#remove(entry);
    for (const { idempotencyKey, method, caller, ageMs, outcome } of kept) {
      const known = activation.extras?.replies?.get(idempotencyKey);
      if (known !== undefined || ageMs >= this.#limits.ageMs) continue;
      this.#add({ activation, idempotencyKey, method, caller, at: now - ageMs, outcome, older: undefined, newer: undefined });
    }
  }

  #add(entry: RememberedReply): void {
    if (this.#limits.countMax === 0 || this.#limits.entriesMax === 0) return;
    const replies = (entry.activation.own.replies ??= new Map());
    if (replies.size >= this.#limits.countMax) {
      const [first] = replies.values();
      if (first !== undefined) this.#remove(first);
    }
    if (this.#size >= this.#limits.entriesMax) this.removeOldest();
    replies.set(entry.idempotencyKey, entry);
    this.#size += 1;
    entry.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = entry;
    else this.#newest.newer = entry;
    this.#newest = entry;
    if (this.#size === 1) this.#onFirst();
  }

  #remove(entry: RememberedReply): void {
    const { older, newer, activation } = entry;
    const { extras } = activation;
    extras?.replies?.delete(entry.idempotencyKey);
    if (extras?.replies?.size === 0) extras.replies = undefined;
    this.#size -= 1;
    if (older === undefined) this.#oldest = newer;
    else older.newer = newer;
    if (newer === undefined) this.#newest = older;
    else newer.older = older;
  }
}

/** A reply may share parts with the state, which goes on changing. */
function ownCopy(value: unknown): ReplyOutcome {
  try {
    return { kind: 'ok', value: copyPlain(value) };
  } catch {
    return { kind: 'error', error: bareError('reply.not_plain', 'the reply holds something that cannot travel') };
  }
}

/** Two callers that are proven to be different ones never get each other's replies, and a claim never passes for a proof. */
export function callerOf({ caller, source }: InboundRequest): string {
  if (source !== undefined && source.principal !== '') return `${source.principal}\0${caller}`;
  return caller.includes('\0') ? caller.replaceAll('\0', ' ') : caller;
}
