import type { Random } from '../../base/random.ts';
import { plainVia } from '../../contract/transport.ts';
import type { Address, DataLink, DataLinkEvents } from '../../contract/transport.ts';
import type { VirtualClock } from '../virtual-clock.ts';

/** A broker and wires with delays by chance. Each connection keeps its order; what is under way when one breaks is lost, or not. */
export class Wires {
  readonly clock: VirtualClock;
  readonly random: Random;
  /** Nobody cancels a call or is short of time. */
  readonly callersArePatient: boolean;
  readonly #listeners = new Map<Address, WireLink>();
  /** By connection and direction: when the last frame passed. */
  readonly #passed = new Map<string, number>();

  constructor(clock: VirtualClock, random: Random, callersArePatient: boolean) {
    this.clock = clock;
    this.random = random;
    this.callersArePatient = callersArePatient;
  }

  chance(probability: number): boolean {
    return this.random.next() < probability;
  }

  upTo(ms: number): number {
    return this.random.next() * ms;
  }

  listen(address: Address, link: WireLink): void {
    this.#listeners.set(address, link);
  }

  unlisten(link: WireLink): void {
    for (const [address, one] of this.#listeners) if (one === link) this.#listeners.delete(address);
  }

  carry(from: WireLink, to: Address, frame: Uint8Array, token: number): void {
    const sentOn = from.connection;
    this.#after(`${from.address} in`, 3, () => {
      if (from.connection !== sentOn && this.chance(0.5)) return;
      const receiver = this.#listeners.get(to);
      if (receiver?.up) this.#deliver(from, receiver, to, frame, token);
      else if (token >= 0) this.#after(`${from.address} out`, 3, () => from.connection === sentOn && from.undeliverable(token));
    });
  }

  #deliver(from: WireLink, receiver: WireLink, to: Address, frame: Uint8Array, token: number): void {
    const takenOn = receiver.connection;
    this.#after(`${receiver.address} out`, 3, () => {
      if (receiver.connection === takenOn) receiver.arrived(frame, token < 0 ? '' : from.address, to);
    });
  }

  #after(lane: string, ms: number, run: () => void): void {
    const now = this.clock.now();
    const at = Math.max(this.#passed.get(lane) ?? 0, now + this.upTo(ms));
    this.#passed.set(lane, at);
    this.clock.setTimer(at - now, run);
  }
}

/** One connection to the wires. */
export class WireLink implements DataLink {
  readonly address: Address;
  readonly anyNode: Address = 'any';
  readonly everyClient: Address = 'clients';
  readonly frameBytesMax = 4_096;
  up = true;
  connection = 0;
  readonly #wires: Wires;
  readonly #listensTo: readonly Address[];
  #events: DataLinkEvents | undefined;
  /** What arrives while the process is stopped. */
  #frozen: (() => void)[] | undefined;

  constructor(wires: Wires, address: Address, alsoListensTo: readonly Address[] = []) {
    this.#wires = wires;
    this.address = address;
    this.#listensTo = [address, ...alsoListensTo];
    for (const one of this.#listensTo) wires.listen(one, this);
  }

  attach(events: DataLinkEvents): void {
    this.#events = events;
  }

  nodeAddress(nodeId: string, incarnation: string): Address {
    return `node/${nodeId}/${incarnation}`;
  }

  peerAddress(nodeId: string, incarnation: string): Address {
    return `peer/${nodeId}/${incarnation}`;
  }

  send(to: Address, frame: Uint8Array, token: number): boolean {
    if (!this.up) return false;
    this.#wires.carry(this, to, frame.slice(), token);
    return true;
  }

  arrived(frame: Uint8Array, from: Address, to: Address): void {
    this.#do(() => {
      this.#events?.onFrame(frame, from, to === this.address ? plainVia.reply : plainVia.node);
      frame.fill(0xff);
    });
  }

  undeliverable(token: number): void {
    this.#do(() => this.#events?.onUndeliverable(token));
  }

  /** The connection breaks and comes back after `ms`. */
  breakFor(ms: number): void {
    if (!this.up) return;
    this.up = false;
    this.connection += 1;
    this.#events?.onState(false);
    this.#wires.clock.setTimer(ms, () => {
      if (this.#events === undefined) return;
      this.up = true;
      this.#events.onState(true);
    });
  }

  freeze(): void {
    this.#frozen ??= [];
  }

  /** Ends for good: nobody listens any more. */
  kill(): void {
    this.up = false;
    this.connection += 1;
    this.#events = undefined;
    this.#wires.unlisten(this);
  }

  serveForeignCalls(): Promise<void> {
    return Promise.resolve();
  }

  retire(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.kill();
    return Promise.resolve();
  }

  reset(): void {}

  #do(run: () => void): void {
    if (this.#frozen) this.#frozen.push(run);
    else run();
  }
}
