import type { Clock } from '../../base/clock.ts';
import type {
  Address,
  ClientRole,
  DataLink,
  DataLinkEvents,
  ForeignCall,
  LinkEnvironment,
  NodeRole,
  ServiceDescription,
  Transport,
  Via,
} from '../../contract/transport.ts';
import type { CallbackGuard } from '../../memory/guarded-callback.ts';
import { Gate } from './gate.ts';
import { LinkKeeper } from './link-keeper.ts';
import type { FaultyConnection } from './link-keeper.ts';
import type { ProcessFaults } from './process-faults.ts';

export interface FaultyDataParts {
  readonly transport: Transport;
  readonly role: NodeRole | ClientRole;
  readonly events: DataLinkEvents;
  readonly environment: LinkEnvironment;
  readonly faults: ProcessFaults;
  /** The clock of the wire: delays go on while a process is frozen or dead. */
  readonly clock: Clock;
  /** Which process takes what is sent to an address. */
  readonly owners: Map<Address, ProcessFaults>;
  /** Told of each frame that the process handed over, whatever becomes of it. */
  readonly onSent?: (frame: Uint8Array) => void;
}

/** What a frame's bytes become once its receiver has returned, so that one who keeps them is found out. */
const scrambled = 0xdb;

class DataConnection implements FaultyConnection, DataLinkEvents {
  readonly in: Gate;
  readonly out: Gate;
  readonly #events: DataLinkEvents;
  readonly #guard: CallbackGuard;
  readonly #onState: (up: boolean) => void;
  #inner: DataLink | undefined;
  #isDropped = false;

  constructor(parts: FaultyDataParts, guard: CallbackGuard, onState: (up: boolean) => void) {
    const { faults, clock, environment } = parts;
    this.in = new Gate(faults.paths.data.in, clock, environment.clock);
    this.out = new Gate(faults.paths.data.out, clock, clock);
    this.#events = parts.events;
    this.#guard = guard;
    this.#onState = onState;
  }

  async open(parts: FaultyDataParts): Promise<this> {
    this.#inner = await parts.transport.openData(parts.role, this, parts.environment);
    return this;
  }

  get inner(): DataLink {
    if (this.#inner === undefined) throw new Error('the connection is used before it is open');
    return this.#inner;
  }

  get up(): boolean {
    return this.inner.up;
  }

  onFrame(frame: Uint8Array, from: Address, via: Via): void {
    const copy = Buffer.from(frame);
    this.#pass('onFrame', () => {
      this.#events.onFrame(copy, from, via);
      copy.fill(scrambled);
    });
  }

  onUndeliverable(token: number): void {
    this.#pass('onUndeliverable', () => this.#events.onUndeliverable(token));
  }

  onState(up: boolean): void {
    if (!up) this.in.clear();
    this.#onState(up);
  }

  send(to: Address, frame: Uint8Array, token: number): boolean {
    const { inner } = this;
    // Let it throw what it throws.
    if (frame.byteLength > inner.frameBytesMax) return inner.send(to, frame, token);
    let isSent = true;
    this.out.pass(() => (isSent = inner.send(to, frame, token)));
    return isSent;
  }

  reset(): void {
    this.inner.reset();
  }

  changed(): void {
    this.in.changed();
    this.out.changed();
  }

  drop(gone: () => void): Promise<void> {
    this.#isDropped = true;
    this.in.clear();
    let closed = Promise.resolve();
    this.out.whenEmpty(() => {
      closed = this.inner.close();
      gone();
    });
    return closed;
  }

  #pass(what: string, run: () => void): void {
    if (this.#isDropped) return;
    this.in.pass(() => {
      if (!this.#isDropped) this.#guard.call(what, run);
    });
  }
}

export class FaultyDataLink implements DataLink {
  readonly #parts: FaultyDataParts;
  readonly #keeper: LinkKeeper<DataConnection>;
  #latest: DataLink | undefined;
  #serve: ((link: DataLink) => Promise<void>) | undefined;

  constructor(parts: FaultyDataParts) {
    this.#parts = parts;
    this.#keeper = new LinkKeeper<DataConnection>({
      kind: 'data',
      faults: parts.faults,
      environment: parts.environment,
      onState: (up) => parts.events.onState(up),
      connect: (onState) => this.#connect(onState),
    });
  }

  async open(): Promise<this> {
    await this.#keeper.open();
    return this;
  }

  get address(): Address {
    return this.#inner.address;
  }

  get frameBytesMax(): number {
    return this.#inner.frameBytesMax;
  }

  get anyNode(): Address {
    return this.#inner.anyNode;
  }

  get everyClient(): Address {
    return this.#inner.everyClient;
  }

  get up(): boolean {
    return this.#keeper.up;
  }

  nodeAddress(nodeId: string, incarnation: string): Address {
    return this.#inner.nodeAddress(nodeId, incarnation);
  }

  peerAddress(nodeId: string, incarnation: string): Address {
    return this.#inner.peerAddress(nodeId, incarnation);
  }

  send(to: Address, frame: Uint8Array, token: number): boolean {
    const isSent = this.#send(to, frame, token);
    if (isSent) this.#parts.onSent?.(frame);
    return isSent;
  }

  #send(to: Address, frame: Uint8Array, token: number): boolean {
    const connection = this.#keeper.current;
    if (connection?.up !== true) return false;
    const owner = this.#parts.owners.get(to);
    if (owner !== undefined && this.#parts.faults.isSevered(owner)) return true;
    if (owner?.refusesFrames !== true) return connection.send(to, frame, token);
    if (token >= 0) this.#parts.environment.clock.defer(() => connection.onUndeliverable(token));
    return true;
  }

  async serveForeignCalls(service: ServiceDescription, answer: (call: ForeignCall) => Promise<unknown>): Promise<void> {
    this.#serve = (link) => link.serveForeignCalls(service, answer);
    const connection = this.#keeper.current;
    if (connection !== undefined) await this.#serve(connection.inner);
  }

  retire(): Promise<void> {
    return this.#inner.retire();
  }

  close(): Promise<void> {
    return this.#keeper.close();
  }

  reset(): void {
    this.#keeper.reset();
  }

  /** The latest connection; what it was told of addresses holds also while it is down. */
  get #inner(): DataLink {
    if (this.#latest === undefined) throw new Error('the link is used before it is open');
    return this.#latest;
  }

  async #connect(onState: (up: boolean) => void): Promise<DataConnection> {
    const connection = await new DataConnection(this.#parts, this.#keeper.guard, onState).open(this.#parts);
    this.#latest = connection.inner;
    this.#claimAddresses();
    await this.#serve?.(connection.inner);
    return connection;
  }

  #claimAddresses(): void {
    const { role, owners, faults } = this.#parts;
    owners.set(this.address, faults);
    if (role.kind === 'client') return;
    owners.set(this.nodeAddress(role.nodeId, role.incarnation), faults);
    owners.set(this.peerAddress(role.nodeId, role.incarnation), faults);
  }
}
