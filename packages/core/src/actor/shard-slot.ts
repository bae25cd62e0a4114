import type { Activation } from './activation.ts';
import type { ActorType } from './actor-type.ts';

/** One shard of this node with its actors. */
export class ShardSlot {
  readonly shard: number;
  readonly epoch: number;
  phase: 'open' | 'closing' | 'collecting' | 'dropped' = 'open';
  /** Where refused requests should go, once it is no longer open. */
  successor: string | undefined = undefined;
  /** While it is leaving: when half of its time is over, monotonic ms. */
  halfTimeAt = 0;
  /** What is waited for, and who is told when it is done. */
  #awaited: Set<Activation> | undefined = undefined;
  /** Of those the ones that do nothing but what one-way messages asked for that came since it began to leave. */
  readonly #oneWay = new Set<Activation>();
  #onQuiet: (() => void) | undefined = undefined;
  readonly #actors: (Map<string, Activation> | undefined)[] = [];

  constructor(shard: number, epoch: number) {
    this.shard = shard;
    this.epoch = epoch;
  }

  find(type: ActorType, key: string): Activation | undefined {
    const actors = this.#actors[type.index];
    return actors === undefined ? undefined : actors.get(key);
  }

  add(activation: Activation): void {
    const { type, key } = activation;
    let actors = this.#actors[type.index];
    if (actors === undefined) {
      actors = new Map();
      while (this.#actors.length < type.index) this.#actors.push(undefined);
      this.#actors[type.index] = actors;
    }
    actors.set(key, activation);
  }

  remove(activation: Activation): void {
    const actors = this.#actors[activation.type.index];
    if (actors !== undefined && actors.get(activation.key) === activation) actors.delete(activation.key);
  }

  *activations(): Generator<Activation> {
    for (const actors of this.#actors) if (actors !== undefined) yield* actors.values();
  }

  /** On its way out, but for turns that are waited for. */
  get isLeaving(): boolean {
    return this.phase === 'closing' && this.#awaited !== undefined;
  }

  /** What still ran was given up, or is about to be: nothing of it counts here any more, and the shard may be open again with other activations. */
  get hasLeft(): boolean {
    return this.phase === 'collecting' || this.phase === 'dropped';
  }

  /** While it is leaving: waits for this one too, if it is busy. */
  await(activation: Activation): void {
    if (activation.busy) this.#awaited?.add(activation);
  }

  /** While it is leaving, before a request is delivered. */
  expect(activation: Activation, isOneWay: boolean): void {
    if (!isOneWay) this.#oneWay.delete(activation);
    else if (!activation.busy) this.#oneWay.add(activation);
  }

  /** Whether the actor leaves once its turns have ended. Not for one-way messages that only follow others: they could go on without end. */
  isAwaiting(activation: Activation, isOneWay: boolean): boolean {
    return this.isLeaving && !(isOneWay && this.#oneWay.has(activation));
  }

  /** Calls `onQuiet` once none of `awaited` is busy any more, at once if there is none. */
  awaitQuiet(awaited: Set<Activation>, onQuiet: () => void): void {
    this.#awaited = awaited;
    this.#onQuiet = onQuiet;
    this.#tellIfQuiet();
  }

  /** To be called when a turn, hook or background task of the shard has ended. */
  settled(activation: Activation): void {
    if (this.#awaited === undefined) return;
    if (activation.busy) {
      if (activation.queue !== undefined && activation.pending === undefined && !activation.isAwaited) this.#oneWay.add(activation);
      return;
    }
    this.#awaited.delete(activation);
    this.#tellIfQuiet();
  }

  /** Ends the waiting, whatever is still busy. */
  stopWaiting(): void {
    this.#awaited?.clear();
    this.#tellIfQuiet();
  }

  #tellIfQuiet(): void {
    if (this.#awaited === undefined || this.#awaited.size > 0) return;
    this.#awaited = undefined;
    this.#onQuiet?.();
  }
}
