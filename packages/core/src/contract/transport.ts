import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import type { Random } from '../base/random.ts';
import type { RecordStore } from './record-store.ts';

/**
 * A place that frames can be sent to. Opaque to everybody but the transport that made it; it may be stored and
 * sent to other members of the same cluster. Never built from an actor key.
 */
export type Address = string;

/** By which of a link's addresses a frame came, and so what its sender may say. */
export interface Via {
  /**
   * `reply`: the link's own address, which only those know to whom it was given. `node`: the address of a node, for callers. `peer`: the
   * peer address of a node, to which only nodes may send (with NATS: by the permissions of their users). `shared`: an address of many.
   */
  readonly at: 'reply' | 'node' | 'peer' | 'shared';
  /** Who sent it, where the transport proves that; '' where it does not. With NATS: by the permissions of the sender's user. */
  readonly principal: string;
}

/** Of frames whose sender is not proven. */
export const plainVia: Readonly<Record<Via['at'], Via>> = Object.freeze({
  reply: { at: 'reply', principal: '' },
  node: { at: 'node', principal: '' },
  peer: { at: 'peer', principal: '' },
  shared: { at: 'shared', principal: '' },
});

export interface DataLinkEvents {
  /**
   * One frame arrived. `from` is where its sender takes replies, or '' where it takes none; it is the sender's claim, checked for its form.
   * The bytes may be read during the call only. Must not throw; a throw is caught, logged and counted by the link.
   */
  onFrame(frame: Uint8Array, from: Address, via: Via): void;
  /** The frame sent with `token` reached nobody: it was certainly not delivered. */
  onUndeliverable(token: number): void;
  /** `true`: connected and subscribed. `false`: everything sent before may or may not have arrived; nothing more will. */
  onState(up: boolean): void;
}

export interface LinkEnvironment {
  readonly cluster: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** How long the first connection may take before `open...` rejects with `transport.connect_timeout`. */
  readonly connectTimeoutMs: number;
}

export interface NodeRole {
  readonly kind: 'node';
  readonly nodeId: string;
  readonly incarnation: string;
}

export interface ClientRole {
  readonly kind: 'client';
  /** Unguessable, made by the caller of `openData`; no other client shares it. */
  readonly clientId: string;
}

/** A call by somebody who does not run Perkey, in JSON. */
export interface ForeignCall {
  readonly type: string;
  readonly method: string;
  readonly key: string;
  readonly input: unknown;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number | undefined;
  readonly idempotencyKey: string | undefined;
  /** Who calls, where the transport proves that; '' where it does not. */
  readonly principal: string;
}

/** What a node offers to foreign callers. */
export interface ServiceDescription {
  readonly nodeId: string;
  readonly version: string;
  readonly types: readonly { readonly type: string; readonly methods: readonly string[] }[];
}

/**
 * The link that carries requests and replies. Delivery is at most once; frames from one link to one address arrive
 * in the order sent while the connection lives; after a reconnect nothing of the old connection is delivered by this side.
 */
export interface DataLink {
  /** Where this link takes replies. */
  readonly address: Address;
  /** The largest frame `send` takes. Fixed while the link lives. */
  readonly frameBytesMax: number;
  readonly up: boolean;
  /** Where a node incarnation takes frames. */
  nodeAddress(nodeId: string, incarnation: string): Address;
  /** Where a node incarnation takes frames from other nodes only (shards on the move). */
  peerAddress(nodeId: string, incarnation: string): Address;
  /** One node of the cluster, whichever takes it first. */
  readonly anyNode: Address;
  /** All clients of the cluster. */
  readonly everyClient: Address;
  /**
   * Hands a frame to the connection, synchronously. `false`: the link is down and nothing was written.
   * `token` (a non-negative safe integer) comes back in `onUndeliverable`; -1 asks for no such report and takes no replies.
   * The link does not change the bytes, and the caller does not after the call.
   */
  send(to: Address, frame: Uint8Array, token: number): boolean;
  /** Offers the actors to foreign callers; a call that rejects is answered with the error. Ends with the link. Only for nodes. */
  serveForeignCalls(service: ServiceDescription, answer: (call: ForeignCall) => Promise<unknown>): Promise<void>;
  /**
   * Takes no more frames but replies: what is sent to this node from now on is undeliverable. Resolves when everything that was on its way
   * has been delivered to `onFrame`; `send` still works. Never rejects. Only for nodes; nothing undoes it.
   */
  retire(): Promise<void>;
  /** Waits until what was sent is with the broker, then closes. Idempotent. */
  close(): Promise<void>;
  /** Drops the connection at once, with what was not yet written; the link then redials by itself. */
  reset(): void;
}

/** A message for whoever takes the subject, in Perkey or not. */
export interface Publication {
  readonly subject: string;
  /** The same at each try of the same message. */
  readonly id: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Not changed after the call. */
  readonly data: Uint8Array;
}

/**
 * Resolves when the broker has the message: stored, where it keeps what is sent to the subject. Publishing the same id again does no harm there.
 * Whatever it rejects with: the broker may have it. With NATS the id is the header `Nats-Msg-Id`.
 */
export type Publish = (publication: Publication) => Promise<void>;

/** The link that carries leases and shard records, apart from the data link so that no caller's reply address can reach the stores. */
export interface ControlLink {
  readonly members: RecordStore;
  readonly shards: RecordStore;
  readonly up: boolean;
  /** Publishes the messages of outboxes; absent where the transport has no subjects that others can take. */
  readonly publish?: Publish | undefined;
  /** Drops the connection at once and redials, for a lease that lapsed on a connection that may be dead. */
  reset(): void;
  close(): Promise<void>;
}

export interface ControlLinkEvents {
  onState(up: boolean): void;
}

/** How a cluster's members reach each other. Implemented by `@perkey/nats` and by the in-process transport. */
export interface Transport {
  readonly name: string;
  /** Connects, subscribes, then resolves. Rejects with `transport.connect_timeout` or `transport.refused`. */
  openData(role: NodeRole | ClientRole, events: DataLinkEvents, environment: LinkEnvironment): Promise<DataLink>;
  /** Connects, creates the two record stores where they are missing, then resolves. Rejects also with `transport.no_jetstream`. */
  openControl(nodeId: string, events: ControlLinkEvents, environment: LinkEnvironment): Promise<ControlLink>;
}
