import { PerkeyError } from '../base/errors.ts';
import { plainVia } from '../contract/transport.ts';
import type {
  Address,
  ClientRole,
  DataLink,
  DataLinkEvents,
  ForeignCall,
  LinkEnvironment,
  NodeRole,
  ServiceDescription,
  Via,
} from '../contract/transport.ts';
import type { Deliveries } from './deliveries.ts';
import { CallbackGuard } from './guarded-callback.ts';
import { anyNodeAddress, everyClientAddress } from './memory-cluster.ts';
import type { FrameTaker, MemoryCluster, ServiceOffer } from './memory-cluster.ts';
import type { MemoryLinkParts } from './memory-link-parts.ts';
import { MemorySession } from './memory-session.ts';

type Arrival = { readonly frame: Uint8Array; readonly from: Address; readonly via: Via } | { readonly undeliverable: number };

const peerPrefix = 'peer/';
const nodeAddress = (nodeId: string, incarnation: string): Address => `node/${nodeId}/${incarnation}`;
const peerAddress = (nodeId: string, incarnation: string): Address => `${peerPrefix}${nodeId}/${incarnation}`;

/** Where a link listens: its own reply address first. */
function subscriptionsOf(role: NodeRole | ClientRole): readonly [Address, ...Address[]] {
  if (role.kind === 'client') return [`reply/client/${role.clientId}`, everyClientAddress];
  const { nodeId, incarnation } = role;
  const reply = `reply/node/${nodeId}/${incarnation}`;
  return [reply, nodeAddress(nodeId, incarnation), peerAddress(nodeId, incarnation), anyNodeAddress];
}

/**
 * A link to the in-process broker. Frames are handed over, not copied: nobody changes them after `send`, and the receiver reads them
 * during its call only. What arrives is delivered as the transport says, for example on the clock of the receiving process, a batch per turn of
 * the event loop.
 */
export class MemoryDataLink implements DataLink, FrameTaker {
  readonly address: Address;
  readonly frameBytesMax: number;
  readonly anyNode: Address = anyNodeAddress;
  readonly everyClient: Address = everyClientAddress;
  readonly #cluster: MemoryCluster;
  readonly #events: DataLinkEvents;
  readonly #environment: LinkEnvironment;
  readonly #deliveries: Deliveries;
  readonly #guard: CallbackGuard;
  readonly #session: MemorySession;
  #subscriptions: readonly [Address, ...Address[]];
  readonly #isNode: boolean;
  readonly #foreignCallsFailed = new Set<() => void>();
  #offer: ServiceOffer | undefined;
  #arrived: Arrival[] = [];

  constructor(parts: MemoryLinkParts, role: NodeRole | ClientRole, events: DataLinkEvents, frameBytesMax: number) {
    const { broker, cluster, environment, deliveries } = parts;
    const subscriptions = subscriptionsOf(role);
    this.#subscriptions = subscriptions;
    this.address = subscriptions[0];
    this.#isNode = role.kind === 'node';
    this.frameBytesMax = frameBytesMax;
    this.#cluster = cluster;
    this.#events = events;
    this.#environment = environment;
    this.#deliveries = deliveries;
    this.#guard = new CallbackGuard('data', environment);
    this.#session = new MemorySession(broker, environment.clock, {
      attached: () => this.#attached(),
      detached: () => this.#detached(),
      noticedDown: () => this.#guard.call('onState', () => events.onState(false)),
    });
  }

  get up(): boolean {
    return this.#session.up;
  }

  async open(): Promise<this> {
    await this.#session.open(this.#environment.connectTimeoutMs);
    return this;
  }

  nodeAddress(nodeId: string, incarnation: string): Address {
    return nodeAddress(nodeId, incarnation);
  }

  peerAddress(nodeId: string, incarnation: string): Address {
    return peerAddress(nodeId, incarnation);
  }

  /** Throws `payload.too_large` for a frame above `frameBytesMax`; the link lives on. */
  send(to: Address, frame: Uint8Array, token: number): boolean {
    if (frame.byteLength > this.frameBytesMax) {
      throw new PerkeyError('payload.too_large', `a frame of ${frame.byteLength} bytes is above the limit of ${this.frameBytesMax}`);
    }
    if (!this.up) return false;
    const isAllowed = this.#isNode || !to.startsWith(peerPrefix);
    const isTaken = isAllowed && this.#cluster.route(to, frame, token < 0 ? '' : this.address);
    if (!isTaken && token >= 0) this.#arrive({ undeliverable: token });
    return true;
  }

  deliver(frame: Uint8Array, from: Address, to: Address): void {
    this.#arrive({ frame, from, via: this.#viaOf(to) });
  }

  #viaOf(to: Address): Via {
    if (to === this.address) return plainVia.reply;
    if (to.startsWith(peerPrefix)) return plainVia.peer;
    return to === anyNodeAddress || to === everyClientAddress ? plainVia.shared : plainVia.node;
  }

  serveForeignCalls(service: ServiceDescription, answer: (call: ForeignCall) => Promise<unknown>): Promise<void> {
    if (this.#offer !== undefined) this.#cluster.withdraw(this.#offer);
    this.#offer = { service, answer: (call) => this.#answerForeign(call, answer) };
    if (this.up) this.#cluster.offer(this.#offer);
    return Promise.resolve();
  }

  retire(): Promise<void> {
    const [reply, ...retired] = this.#subscriptions;
    this.#subscriptions = [reply];
    for (const address of retired) this.#cluster.unlisten(address, this);
    if (this.#offer !== undefined) this.#cluster.withdraw(this.#offer);
    this.#offer = undefined;
    return new Promise((resolve) => {
      this.#environment.clock.defer(resolve);
    });
  }

  close(): Promise<void> {
    this.#session.close();
    return Promise.resolve();
  }

  reset(): void {
    this.#session.reset();
  }

  #attached(): void {
    for (const address of this.#subscriptions) this.#cluster.listen(address, this);
    if (this.#offer !== undefined) this.#cluster.offer(this.#offer);
    this.#guard.call('onState', () => this.#events.onState(true));
  }

  #detached(): void {
    this.#arrived = [];
    for (const address of this.#subscriptions) this.#cluster.unlisten(address, this);
    if (this.#offer !== undefined) this.#cluster.withdraw(this.#offer);
    for (const fail of this.#foreignCallsFailed) fail();
    this.#foreignCallsFailed.clear();
  }

  #arrive(arrival: Arrival): void {
    if (this.#deliveries === undefined) {
      this.#hand(arrival);
      return;
    }
    this.#arrived.push(arrival);
    if (this.#arrived.length > 1) return;
    const connection = this.#session.connection;
    this.#deliveries(() => {
      if (this.#session.connection === connection) this.#deliverArrived(connection);
    });
  }

  #deliverArrived(connection: number): void {
    const batch = this.#arrived;
    this.#arrived = [];
    for (const arrival of batch) {
      // A callback may have reset or closed the link.
      if (this.#session.connection !== connection) return;
      this.#hand(arrival);
    }
  }

  #hand(arrival: Arrival): void {
    if ('frame' in arrival) this.#guard.call('onFrame', () => this.#events.onFrame(arrival.frame, arrival.from, arrival.via));
    else this.#guard.call('onUndeliverable', () => this.#events.onUndeliverable(arrival.undeliverable));
  }

  #answerForeign(call: ForeignCall, answer: (call: ForeignCall) => Promise<unknown>): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const fail = (): void => reject(new PerkeyError('link.lost', 'the node that had the call lost its connection'));
      this.#foreignCallsFailed.add(fail);
      const done = (): void => void this.#foreignCallsFailed.delete(fail);
      const connection = this.#session.connection;
      this.#environment.clock.defer(() => {
        if (this.#session.connection !== connection) return;
        const answered = async (): Promise<unknown> => answer(call);
        answered().finally(done).then(resolve, reject);
      });
    });
  }
}
