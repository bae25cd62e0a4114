import type { ForeignCall, LinkEnvironment, ServiceDescription, Transport } from '../contract/transport.ts';
import { deferredDeliveries } from './deliveries.ts';
import { MemoryCluster } from './memory-cluster.ts';
import { MemoryControlLink } from './memory-control-link.ts';
import { MemoryDataLink } from './memory-data-link.ts';
import type { MemoryLinkParts } from './memory-link-parts.ts';
import { MemoryBroker } from './memory-session.ts';

export interface MemoryHubOptions {
  /** The largest frame a link takes. Default 1,048,576, the payload limit of an unconfigured NATS server. */
  readonly frameBytesMax?: number | undefined;
}

export interface MemoryTransportOptions {
  /** What arrives is handed over while it is being sent, to a transport around this one that keeps it back itself. Default false. */
  readonly atOnce?: boolean | undefined;
}

/** A foreign call; what is left out is empty. */
export interface ForeignCallInput extends Partial<ForeignCall> {
  readonly type: string;
  readonly method: string;
  readonly key: string;
}

/**
 * A broker inside this process, with any number of clusters by name. Transports made from one hub reach each other; nothing outlives
 * the process. It needs no closing: it holds no timer and no socket.
 */
export class MemoryHub {
  readonly #broker = new MemoryBroker();
  readonly #clusters = new Map<string, MemoryCluster>();
  readonly #frameBytesMax: number;

  constructor(options: MemoryHubOptions = {}) {
    this.#frameBytesMax = options.frameBytesMax ?? 1_048_576;
  }

  /** The records and listeners of a cluster, for looking at and for restoring from a backup; made when first named. */
  cluster(name: string): MemoryCluster {
    let cluster = this.#clusters.get(name);
    if (cluster === undefined) this.#clusters.set(name, (cluster = new MemoryCluster()));
    return cluster;
  }

  /** Drops every connection, as a broker that dies does. Records stay. */
  stop(): void {
    this.#broker.stop();
  }

  /** Takes connections again; the links redial by themselves. */
  start(): void {
    this.#broker.start();
  }

  /** What the nodes of a cluster offer to foreign callers. */
  services(cluster: string): readonly ServiceDescription[] {
    return this.cluster(cluster).services();
  }

  /**
   * Calls an actor as somebody who does not run Perkey does: input and answer pass through JSON.
   * Rejects with the actor's error; with `actor.unknown_type` or `method.unknown` when no connected node offers it.
   */
  async callJson(cluster: string, call: ForeignCallInput): Promise<unknown> {
    const { type, method, key, input, headers = {}, timeoutMs, idempotencyKey, principal = '' } = call;
    const offer = this.cluster(cluster).offerFor(type, method);
    const sent = { type, method, key, input: throughJson(input), headers: { ...headers }, timeoutMs, idempotencyKey, principal };
    return throughJson(await offer.answer(sent));
  }

  /** One transport to this hub. */
  transport({ atOnce = false }: MemoryTransportOptions = {}): Transport {
    const frameBytesMax = this.#frameBytesMax;
    const partsOf = (environment: LinkEnvironment): MemoryLinkParts => ({
      ...{ broker: this.#broker, cluster: this.cluster(environment.cluster), environment },
      deliveries: atOnce ? undefined : deferredDeliveries(environment.clock),
    });
    return {
      name: 'memory',
      openData: (role, events, environment) => new MemoryDataLink(partsOf(environment), role, events, frameBytesMax).open(),
      openControl: (_nodeId, events, environment) => new MemoryControlLink(partsOf(environment), events).open(),
    };
  }
}

export function memoryHub(options: MemoryHubOptions = {}): MemoryHub {
  return new MemoryHub(options);
}

/** Joins nodes and clients of one process without a server. Those that share the returned transport, or its hub, reach each other. */
export function memory(hub: MemoryHub = memoryHub()): Transport {
  return hub.transport();
}

function throughJson(value: unknown): unknown {
  const text: string | undefined = JSON.stringify(value);
  return text === undefined ? undefined : JSON.parse(text);
}
