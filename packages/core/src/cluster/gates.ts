import type { Clock, Timer } from '../base/clock.ts';
import { Gate } from './gate.ts';
import type { InFlightKeys } from './in-flight-keys.ts';
import type { Pending } from './pending.ts';

const lookEveryMs = 20;
/** From then on a call waits only for calls to its own key, not for all of its shard. */
const patienceMs = 250;
/** Where it takes longer than a look until all have gone, so many more may go out with the first look, twice as many with the next, and so on. */
const extraStep = 4;

export interface GatesOptions {
  readonly clock: Clock;
  /** Whether nothing of the shard is under way any more. */
  readonly isQuiet: (shard: number) => boolean;
  /** Whether there is an owner to be tried now. */
  readonly mayTry: (shard: number, gate: Gate) => boolean;
  /** How many shards there are. */
  readonly shards: () => number;
  /** Whether fewer calls that have waited are under way than may be at the same time. */
  readonly hasRoom: () => boolean;
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
 * After an outage many calls come free at once. Only so many of them are under way at the same time, so that calls to other shards need not stand
 * behind all of them on the way and at the owners: each answer lets the next one go. Where most shards have waited there are few others, and all
 * calls go out at once, which takes the least time. I6: a gate that has given out a part goes on, without waiting for that part to end, only while
 * nothing came back, the owner did not change and is not in doubt, so that all of it goes to one owner in its order; else it opens anew, as any gate
 * does.
 */
export class Gates {
  readonly #o: GatesOptions;
  readonly #byShard = new Map<number, Gate>();
  /** Those that wait for room, most of them having given out a part. They count as opening. */
  #parted: { readonly shard: number; readonly gate: Gate }[] = [];
  #extra = 0;
  /** How many looks in a row have found calls for which there was no room, since there was a gate. */
  #looks = 0;
  /** Since there was a gate there have been gates of most shards. */
  #mostHaveWaited = false;
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

  /** To be called whenever something of the shard has ended. */
  tryOpen(shard: number): void {
    this.#open(shard);
    this.#goOn();
  }

  #open(shard: number): void {
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
    for (const shard of [...this.#byShard.keys()]) this.#open(shard);
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
      if (this.#byShard.size === 0) {
        this.#mostHaveWaited = false;
        this.#looks = 0;
      }
      this.#byShard.set(shard, gate);
      if (this.#byShard.size * 2 > this.#o.shards()) this.#mostHaveWaited = true;
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

  /** Some of what was given out has ended: others may follow, of each gate in turn. */
  #goOn(): void {
    while (this.#parted.length > 0 && this.#hasRoom() && !this.#isStopped) {
      const { shard, gate } = this.#parted.shift()!;
      gate.isOpening = false;
      if (gate.isInterrupted || gate.isDoubted || !this.#giveAll(shard, gate)) this.#open(shard);
    }
  }

  #hasRoom(): boolean {
    return this.#mostHaveWaited || this.#extra > 0 || this.#o.hasRoom();
  }

  /** Gives out all calls, those for which there is no room as soon as there is; false when something came back meanwhile. */
  #giveAll(shard: number, gate: Gate): boolean {
    if (!this.#giveOut(gate, () => this.#hasRoom(), true)) return false;
    if (gate.size === 0) this.#byShard.delete(shard);
    else {
      gate.isOpening = true;
      this.#parted.push({ shard, gate });
    }
    return true;
  }

  /** Dispatches what `may` allows, in order; false when something came back meanwhile, so that the rest has to wait. */
  #giveOut(gate: Gate, may: (pending: Pending) => boolean, isUpToFirstNo: boolean = false): boolean {
    gate.isOpening = true;
    gate.isInterrupted = false;
    for (const pending of gate.inOrder()) {
      if (!may(pending)) {
        if (isUpToFirstNo) break;
        continue;
      }
      gate.drop(pending);
      this.#held -= 1;
      if (this.#extra > 0) this.#extra -= 1;
      pending.hasWaited = true;
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
      this.#looks = this.#parted.length > 0 ? this.#looks + 1 : 0;
      this.#extra = this.#looks * extraStep;
      this.#goOn();
      this.#extra = 0;
      this.tryOpenAll();
      this.#letAhead();
      this.#letPass(this.#o.clock.now());
      if (this.#byShard.size > 0) this.#watch();
    });
  }
}
