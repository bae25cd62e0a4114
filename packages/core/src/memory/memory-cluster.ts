import { PerkeyError } from '../base/errors.ts';
import type { Address, ForeignCall, Publication, ServiceDescription } from '../contract/transport.ts';
import { RecordTable } from './record-table.ts';

/** Somebody connected who takes frames. `deliver` queues; it runs nothing of the receiver. */
export interface FrameTaker {
  deliver(frame: Uint8Array, from: Address, to: Address): void;
}

/** A node's offer to foreign callers. `answer` runs on the node's clock. */
export interface ServiceOffer {
  readonly service: ServiceDescription;
  answer(call: ForeignCall): Promise<unknown>;
}

export const anyNodeAddress: Address = 'any-node';
export const everyClientAddress: Address = 'every-client';

/** What the broker knows of one cluster: who listens where, who serves what, and the records of both stores. */
export class MemoryCluster {
  readonly members: RecordTable = new RecordTable();
  readonly shards: RecordTable = new RecordTable();
  readonly #listeners = new Map<Address, Set<FrameTaker>>();
  readonly #offers = new Set<ServiceOffer>();
  readonly #readers = new Set<(publication: Publication) => void>();
  #turn = 0;

  /** Shows each message that an outbox publishes, repeats too, until the returned function is called. `take` must not throw. */
  onPublished(take: (publication: Publication) => void): () => void {
    this.#readers.add(take);
    return () => this.#readers.delete(take);
  }

  publish(publication: Publication): void {
    for (const take of this.#readers) take(publication);
  }

  listen(address: Address, taker: FrameTaker): void {
    const takers = this.#listeners.get(address);
    if (takers === undefined) this.#listeners.set(address, new Set([taker]));
    else takers.add(taker);
  }

  unlisten(address: Address, taker: FrameTaker): void {
    const takers = this.#listeners.get(address);
    takers?.delete(taker);
    if (takers?.size === 0) this.#listeners.delete(address);
  }

  /** False when nobody listens there. Nodes take what is sent to any of them in turn. */
  route(to: Address, frame: Uint8Array, from: Address): boolean {
    const takers = this.#listeners.get(to);
    if (takers === undefined) return false;
    if (to === anyNodeAddress) this.#next([...takers])?.deliver(frame, from, to);
    else for (const taker of takers) taker.deliver(frame, from, to);
    return true;
  }

  offer(offer: ServiceOffer): void {
    this.#offers.add(offer);
  }

  withdraw(offer: ServiceOffer): void {
    this.#offers.delete(offer);
  }

  services(): readonly ServiceDescription[] {
    return [...this.#offers].map((offer) => offer.service);
  }

  /** The node that takes this foreign call, in turn among those that offer the method. */
  offerFor(type: string, method: string): ServiceOffer {
    const withType = [...this.#offers].filter((offer) => offer.service.types.some((offered) => offered.type === type));
    if (withType.length === 0) throw new PerkeyError('actor.unknown_type', `no node offers the actor type ${JSON.stringify(type)}`);
    const serves = (offer: ServiceOffer): boolean =>
      offer.service.types.some((offered) => offered.type === type && offered.methods.includes(method));
    const offer = this.#next(withType.filter(serves));
    if (offer !== undefined) return offer;
    throw new PerkeyError('method.unknown', `the actor type ${type} offers no method ${JSON.stringify(method)}`);
  }

  #next<T>(among: readonly T[]): T | undefined {
    this.#turn += 1;
    return among[this.#turn % among.length];
  }
}
