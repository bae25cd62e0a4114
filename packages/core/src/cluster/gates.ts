import type { Clock, Timer } from '../base/clock.ts';
import { Gate } from './gate.ts';
import type { InFlightKeys } from './in-flight-keys.ts';
import type { Pending } from './pending.ts';

const lookEveryMs = 20;
/** From then on a call waits only for calls to its own key, not for all of its shard. */
const patienceMs = 250;
/** So many held calls go out in one turn of the event loop. Two with more than `turnGapMs` between them are taken for calls of two turns. */
const perTurnMax = 32;
const turnGapMs = 1;

export interface GatesOptions {
  readonly clock: Clock;
  /** Whether nothing of the shard is under way any more. */
  readonly isQuiet: (shard: number) => boolean;
  /** Whether there is an owner to be tried now. */
  readonly mayTry: (shard: number, gate: Gate) => boolean;
  /** What is under way for the shards that have a gate. */
  readonly inFlight: () => InFlightKeys;
  /** Whether the call has a mark (see `markOf`), and there is an owner to be tried. Never of a call that was made in no turn. */
  readonly mayGoAhead: (pending: Pending) => boolean;
  /** Takes each call of an opened gate, in order. May hold it back again. */
  readonly dispatch: (pending: Pending) => void;
  /** Called every now and then while calls wait. */
  readonly wantNews: () => void;
}

/**
 * The gates of all shards whose owner is changing.
 *
 * After an outage many calls come free at once. They go out over several turns of the event loop, so that calls to other shards need not stand
 * behind all of them. I6: a gate that has given out a part goes on without waiting for that part only while nothing came back, the owner did not
 * change and is not in doubt, so that all of it goes to one owner in its order; else it opens anew, as any gate does.
 */
export class Gates {
  readonly #o: GatesOptions;
  readonly #byShard = new Map<number, Gate>();
  /** Those that have given out a part in this turn. They count as opening. */
  #parted: { readonly shard: number; readonly gate: Gate }[] = [];
  #givenInTurn = 0;
  #givenAt = 0;
  #isTurnFull = false;
  #held = 0;
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(options: GatesOptions) {
    this.#o = options;
  }

  /** Gates that are closed. */
  get size(): number {
    return this.#byShard.size;
  }

  /** Calls held back. */
  get held(): number {
    return this.#held;
  }

  has(shard: number): boolean {
    return this.#byShard.has(shard);
  }

  /** The owner changed while calls are under way: later calls wait until `tryOpen`. */
  close(shard: number): void {
    const gate = this.#gateOf(shard);
    gate.since = this.#o.clock.now();
    gate.isInterrupted = true;
  }

  /** A new call lines up. */
  hold(pending: Pending): void {
    this.#gateOf(pending.shard).hold(pending);
    this.#held += 1;
  }

  /** A call that came back, or could not be sent, waits for the next attempt. */
  holdBack(pending: Pending, refusedEpoch: number): void {
    this.#gateOf(pending.shard).holdBack(pending, refusedEpoch, this.#o.clock.now());
    this.#held += 1;
  }

  /** Forgets a call that is held back here. */
  drop(pending: Pending): void {
    const gate = this.#byShard.get(pending.shard);
    if (!gate) return;
    this.#held -= gate.size;
    gate.drop(pending);
    this.#held += gate.size;
  }

  tryOpen(shard: number): void {
    const gate = this.#byShard.get(shard);
    if (!gate || gate.isOpening) return;
    while (this.#mayOpen(shard, gate)) {
      if (gate.isDoubted) {
        this.#probe(shard, gate);
        continue;
      }
      if (this.#giveAll(shard, gate)) return;
    }
  }

  tryOpenAll(): void {
    for (const shard of [...this.#byShard.keys()]) this.tryOpen(shard);
  }

  /** The connection is new: an owner whose own one is not back yet does not listen. */
  doubtAll(): void {
    for (const gate of this.#byShard.values()) gate.isDoubted = true;
  }

  /** Calls to the same actor as `pending`, made before it, whose last attempt was refused. */
  overtakenBy(pending: Pending): Pending[] {
    return this.#heldBefore(pending, pending.mark !== 0).filter((held) => held.refusal?.executed === 'no');
  }

  /** Whether the call has to wait. */
  stops(pending: Pending): boolean {
    return this.#byShard.has(pending.shard) && !this.mayGoAhead(pending);
  }

  /**
   * Whether the call need not wait at its gate: the move of one shard waits for it, and would wait for the move of another if it did. Only calls
   * that its own actor made before it come first.
   */
  mayGoAhead(pending: Pending): boolean {
    return this.#o.mayGoAhead(pending) && this.#heldBefore(pending, true).length === 0;
  }

  /** Those to the same actor that were made before `pending`, by whomever or by the same actor. */
  #heldBefore(pending: Pending, isBySame: boolean): Pending[] {
    const { shard, seq, type, key } = pending;
    const before: Pending[] = [];
    for (const held of this.#byShard.get(shard)?.inOrder() ?? []) {
      if (held.seq >= seq) break;
      if (isBySame ? held.isBySame(pending) : held.key === key && held.type === type) before.push(held);
    }
    return before;
  }

  /** Every call held back. */
  *[Symbol.iterator](): IterableIterator<Pending> {
    for (const gate of this.#byShard.values()) yield* gate.inOrder();
  }

  /** Gives out every call held back and closes for good. */
  stop(): Pending[] {
    this.#isStopped = true;
    this.#timer?.cancel();
    const all = [...this];
    this.#byShard.clear();
    this.#held = 0;
    return all;
  }

  #gateOf(shard: number): Gate {
    let gate = this.#byShard.get(shard);
    if (!gate) {
      gate = new Gate(this.#o.clock.now());
      this.#byShard.set(shard, gate);
    }
    this.#watch();
    return gate;
  }

  #mayOpen(shard: number, gate: Gate): boolean {
    return this.#o.isQuiet(shard) && (gate.size === 0 || this.#o.mayTry(shard, gate));
  }

  /**
   * Gives out calls until one is under way; the others wait for its end. Were all sent at once, in several frames, and the owner came back
   * between two of them, those in the first frames would be overtaken.
   */
  #probe(shard: number, gate: Gate): void {
    gate.isDoubted = false;
    gate.since = this.#o.clock.now();
    this.#giveOut(gate, () => this.#o.isQuiet(shard));
  }

  /** Gives out all calls, those that are too many for this turn in the next ones; false when something came back meanwhile. */
  #giveAll(shard: number, gate: Gate): boolean {
    if (!this.#giveOut(gate, () => this.#hasTurn())) return false;
    if (gate.size === 0) {
      this.#byShard.delete(shard);
      return true;
    }
    gate.isOpening = true;
    if (this.#parted.length === 0) this.#o.clock.defer(() => this.#nextTurn());
    this.#parted.push({ shard, gate });
    return true;
  }

  /** Once it is false it stays so until the next turn. */
  #hasTurn(): boolean {
    if (this.#isTurnFull) return false;
    const now = this.#o.clock.now();
    if (now - this.#givenAt > turnGapMs) this.#givenInTurn = 0;
    this.#givenAt = now;
    this.#isTurnFull = this.#givenInTurn >= perTurnMax;
    if (!this.#isTurnFull) this.#givenInTurn += 1;
    return !this.#isTurnFull;
  }

  #nextTurn(): void {
    this.#isTurnFull = false;
    this.#givenInTurn = 0;
    for (const { shard, gate } of this.#parted.splice(0)) {
      if (this.#isStopped) return;
      gate.isOpening = false;
      if (gate.isInterrupted || gate.isDoubted || !this.#giveAll(shard, gate)) this.tryOpen(shard);
    }
  }

  /** Dispatches what `may` allows, in order; false when something came back meanwhile, so that the rest has to wait. */
  #giveOut(gate: Gate, may: (pending: Pending) => boolean): boolean {
    gate.isOpening = true;
    gate.isInterrupted = false;
    for (const pending of gate.inOrder()) {
      if (!may(pending)) continue;
      gate.drop(pending);
      this.#held -= 1;
      this.#o.dispatch(pending);
      if (gate.isInterrupted) break;
    }
    gate.isOpening = false;
    return !gate.isInterrupted;
  }

  /** One slow call, or one whose answer was lost, holds up only the calls to its own key. */
  #letPass(now: number): void {
    let inFlight: InFlightKeys | undefined;
    for (const [shard, gate] of [...this.#byShard]) {
      if (now - gate.since < patienceMs || gate.isOpening || !this.#o.mayTry(shard, gate)) continue;
      const known = (inFlight ??= this.#o.inFlight());
      if (this.#giveOut(gate, (pending) => known.mayFollow(pending)) && gate.size === 0 && known.isClear(shard))
        this.#byShard.delete(shard);
    }
  }

  /** What an owner refused although it was waited for waits for the next owner, or for a while, as all calls do. */
  #letAhead(): void {
    for (const [shard, gate] of [...this.#byShard]) {
      if (!gate.mayHoldMarked) continue;
      const mayTry = ({ mark }: Pending): boolean => mark === 0 || this.#o.mayTry(shard, gate);
      if (!gate.isOpening) this.#giveOut(gate, (pending) => mayTry(pending) && this.mayGoAhead(pending));
    }
  }

  #watch(): void {
    if (this.#isStopped) return;
    this.#timer ??= this.#o.clock.setTimer(lookEveryMs, () => {
      this.#timer = undefined;
      this.#o.wantNews();
      this.tryOpenAll();
      this.#letAhead();
      this.#letPass(this.#o.clock.now());
      if (this.#byShard.size > 0) this.#watch();
    });
  }
}
