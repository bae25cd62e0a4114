import { PerkeyError, plainVia } from '@perkey/core';
import type {
  Address,
  ClientRole,
  Counter,
  DataLink,
  DataLinkEvents,
  ForeignCall,
  LinkEnvironment,
  NodeRole,
  ServiceDescription,
  Via,
} from '@perkey/core';
import type { Msg } from '@nats-io/transport-node';
import { ManagedConnection } from './connection.ts';
import type { LiveConnection } from './connection.ts';
import { ForeignDoor } from './foreign-calls.ts';
import type { ResolvedNats } from './options.ts';
import { isFrameAddress, isToken, queueGroup, senderOf, subjectsOf } from './subjects.ts';
import type { Subjects } from './subjects.ts';
import type { Wanted } from './subscription.ts';

/** Kept free below the server's limit for subjects and protocol. */
const marginBytes = 4_096;
/** Larger frames gain nothing and hold up what is behind them on the connection. */
const frameBytesCap = 524_288;
const knownAddressesMax = 4_096;
const earlyFramesMax = 1_024;
/** The first subscriptions of a connection are those for replies. */
const replySubscriptions = 2;
/** Then come the other ones of a node; behind them is what it offers to foreign callers. */
const ownSubscriptions = 6;
const knownSendersMax = 4_096;

interface EarlyFrame {
  readonly frame: Uint8Array;
  readonly from: Address;
  readonly via: Via;
}

export class NatsDataLink implements DataLink {
  readonly address: Address;
  readonly anyNode: Address;
  readonly everyClient: Address;
  readonly #subjects: Subjects;
  readonly #role: NodeRole | ClientRole;
  readonly #events: DataLinkEvents;
  readonly #environment: LinkEnvironment;
  readonly #nats: ResolvedNats;
  readonly #strangers: Counter;
  /** Addresses that were checked and found good. */
  readonly #known = new Set<Address>();
  /** The one options object of `publish`, which the library reads before it returns. */
  readonly #withReply: { reply: string } = { reply: '' };
  readonly #tokenPrefix: string;
  /** By the name of a proven sender. */
  readonly #senders = new Map<string, Via>();
  readonly #nodePrefix: string;
  #connection: ManagedConnection | undefined;
  #live: LiveConnection | undefined;
  /** A connection that is not up yet; what arrives by it waits in `#early`. */
  #preparing: LiveConnection | undefined;
  #frameBytesMax = 0;
  #early: EarlyFrame[] = [];
  #door: ForeignDoor | undefined;
  #closed = false;
  #retired = false;

  private constructor(role: NodeRole | ClientRole, events: DataLinkEvents, environment: LinkEnvironment, nats: ResolvedNats) {
    this.#role = role;
    this.#events = events;
    this.#environment = environment;
    this.#nats = nats;
    this.#subjects = subjectsOf(environment.cluster);
    this.address = this.#subjects.reply(nats.limits.principal, environment.random.hex(16));
    this.#nodePrefix = role.kind === 'node' ? `${this.#subjects.node(role.nodeId, role.incarnation)}.` : '';
    this.anyNode = this.#subjects.any;
    this.everyClient = this.#subjects.clients;
    this.#tokenPrefix = `${this.address}.`;
    this.#strangers = environment.metrics.counter('perkey_nats_bad_addresses_total', 'Frames with an address that is not of this cluster.');
  }

  static async open(
    role: NodeRole | ClientRole,
    events: DataLinkEvents,
    environment: LinkEnvironment,
    nats: ResolvedNats,
  ): Promise<NatsDataLink> {
    const link = new NatsDataLink(role, events, environment, nats);
    const name =
      role.kind === 'node' ? `${nats.name} ${environment.cluster} node ${role.nodeId}` : `${nats.name} ${environment.cluster} client`;
    link.#connection = await ManagedConnection.open('data', name, nats, environment, {
      prepare: (live, connection) => link.#prepare(live, connection),
      onUp: (live) => link.#onUp(live),
      onDown: () => link.#onDown(),
    });
    return link;
  }

  get frameBytesMax(): number {
    return this.#frameBytesMax;
  }

  get up(): boolean {
    return this.#live !== undefined;
  }

  /** A client with a principal sends to the subjects that its user alone may publish to. */
  nodeAddress(nodeId: string, incarnation: string): Address {
    const { principal } = this.#nats.limits;
    const address = this.#subjects.node(nodeId, incarnation);
    return principal === '' || this.#role.kind === 'node' ? address : `${address}.${principal}`;
  }

  peerAddress(nodeId: string, incarnation: string): Address {
    return this.#subjects.peer(nodeId, incarnation);
  }

  send(to: Address, frame: Uint8Array, token: number): boolean {
    const live = this.#live;
    if (live === undefined) return false;
    if (frame.length > this.#frameBytesMax) {
      throw new PerkeyError('payload.too_large', `a frame of ${frame.length} bytes is over the limit of ${this.#frameBytesMax}`);
    }
    if (!this.#known.has(to) && !this.#admit(to)) {
      this.#refuse(token);
      return true;
    }
    if (token < 0) {
      live.nats.publish(to, frame);
    } else {
      this.#withReply.reply = this.#tokenPrefix + token;
      live.nats.publish(to, frame, this.#withReply);
    }
    if (live.socket.writableLength > this.#nats.limits.outboundBytesMax)
      this.#connection?.reset('its server does not read what is written');
    return true;
  }

  async serveForeignCalls(service: ServiceDescription, answer: (call: ForeignCall) => Promise<unknown>): Promise<void> {
    const connection = this.#connection;
    if (this.#role.kind !== 'node' || connection === undefined || this.#closed)
      throw new PerkeyError('client.closed', 'only an open node link serves calls');
    const door = new ForeignDoor({
      service,
      answer,
      subjects: this.#subjects,
      environment: this.#environment,
      limiter: connection.limiter,
    });
    this.#door = door;
    const live = this.#live;
    if (live === undefined) return;
    for (const subscription of live.subscriptions.splice(ownSubscriptions)) subscription.unsubscribe();
    await connection.listen(live, door.subscriptions(live.nats));
  }

  async retire(): Promise<void> {
    this.#retired = true;
    this.#door = undefined;
    const live = this.#live;
    try {
      if (live !== undefined) await this.#connection?.quiesce(live, replySubscriptions);
    } catch {
      // The connection broke meanwhile: nothing more arrives.
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const live = this.#live;
    this.#live = undefined;
    this.#preparing = undefined;
    try {
      if (live !== undefined) await this.#connection?.quiesce(live);
    } catch {
      // The connection broke meanwhile: there is nothing left to wait for.
    }
    this.#connection?.close();
  }

  reset(): void {
    this.#connection?.reset('its owner asked for a new one');
  }

  #admit(address: Address): boolean {
    if (!isFrameAddress(this.#subjects, address)) return false;
    // The permissions of a client forbid it too; here the mistake is told at once.
    if (this.#role.kind === 'client' && address.startsWith(this.#subjects.peerPrefix)) return false;
    if (this.#known.size >= knownAddressesMax) this.#known.clear();
    this.#known.add(address);
    return true;
  }

  /** An address of somebody else's making reaches nobody. */
  #refuse(token: number): void {
    this.#strangers.inc();
    if (token >= 0) this.#environment.clock.defer(() => this.#tell('onUndeliverable', () => this.#events.onUndeliverable(token)));
  }

  #tell(place: string, run: () => void): void {
    if (!this.#closed) this.#connection?.guard(place, run);
  }

  async #prepare(live: LiveConnection, connection: ManagedConnection): Promise<void> {
    this.#connection = connection;
    this.#early = [];
    const payloadMax = live.nats.info?.max_payload ?? 1_048_576;
    const fits = Math.min(payloadMax - marginBytes, frameBytesCap);
    if (fits < marginBytes || fits < this.#frameBytesMax) {
      throw new PerkeyError('transport.refused', `the server takes messages of ${payloadMax} bytes only; raise its max_payload`);
    }
    this.#frameBytesMax ||= fits;
    this.#preparing = live;
    await connection.listen(live, this.#subscriptions(live));
    if (this.#door !== undefined) await connection.listen(live, this.#door.subscriptions(live.nats));
  }

  #subscriptions(live: LiveConnection): readonly Wanted[] {
    const taker = (via: Via) => (message: Msg) => this.#onFrame(live, message, via);
    const own: Wanted[] = [
      { subject: this.address, onMessage: taker(plainVia.reply) },
      { subject: `${this.address}.*`, onMessage: (message) => this.#onStatus(live, message) },
    ];
    const role = this.#role;
    if (this.#retired) return own;
    if (role.kind === 'client') return [...own, { subject: this.#subjects.clients, onMessage: taker(plainVia.shared) }];
    return [
      ...own,
      { subject: this.#subjects.node(role.nodeId, role.incarnation), onMessage: taker(plainVia.node) },
      { subject: `${this.#nodePrefix}*`, onMessage: (message) => this.#onFrame(live, message, this.#proven(message.subject)) },
      { subject: this.#subjects.peer(role.nodeId, role.incarnation), onMessage: taker(plainVia.peer) },
      { subject: this.#subjects.any, queue: queueGroup, onMessage: taker(plainVia.shared) },
    ];
  }

  /** The library goes on with what it has read when its connection was lost meanwhile; that is not delivered. */
  #onFrame(live: LiveConnection, message: Msg, via: Via): void {
    if (this.#live === live) {
      this.#events.onFrame(message.data, this.#sender(message.reply ?? ''), via);
    } else if (this.#preparing === live && this.#early.length < earlyFramesMax) {
      this.#early.push({ frame: message.data.slice(), from: this.#sender(message.reply ?? ''), via });
    }
  }

  #sender(replySubject: string): Address {
    if (replySubject === '') return '';
    const from = senderOf(this.#subjects, replySubject);
    if (from === '') this.#strangers.inc();
    return from;
  }

  /** The last token of the subject, to which the server let its sender publish. A token that is no name proves nothing. */
  #proven(subject: string): Via {
    const principal = subject.slice(this.#nodePrefix.length);
    const known = this.#senders.get(principal);
    if (known !== undefined) return known;
    if (!isToken(principal)) return plainVia.node;
    if (this.#senders.size >= knownSendersMax) this.#senders.clear();
    const via: Via = { at: 'node', principal };
    this.#senders.set(principal, via);
    return via;
  }

  /** Only the server publishes below the reply address, and only to say that nobody listened. */
  #onStatus(live: LiveConnection, message: Msg): void {
    if (this.#live !== live || message.data.length > 0 || message.headers?.code !== 503) return;
    const token = Number(message.subject.slice(this.#tokenPrefix.length));
    if (Number.isSafeInteger(token) && token >= 0) this.#events.onUndeliverable(token);
  }

  #onUp(live: LiveConnection): void {
    this.#live = live;
    this.#preparing = undefined;
    this.#tell('onState', () => this.#events.onState(true));
    const early = this.#early;
    this.#early = [];
    for (const { frame, from, via } of early) {
      if (this.#live === live) this.#tell('onFrame', () => this.#events.onFrame(frame, from, via));
    }
  }

  #onDown(): void {
    this.#preparing = undefined;
    this.#early = [];
    if (this.#live === undefined) return;
    this.#live = undefined;
    this.#tell('onState', () => this.#events.onState(false));
  }
}
