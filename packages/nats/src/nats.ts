import type {
  ClientRole,
  ControlLink,
  ControlLinkEvents,
  DataLink,
  DataLinkEvents,
  LinkEnvironment,
  NodeRole,
  Transport,
} from '@perkey/core';
import { NatsControlLink } from './control-link.ts';
import { NatsDataLink } from './data-link.ts';
import { resolveNats } from './options.ts';
import type { NatsOptions } from './options.ts';

/**
 * The transport over NATS 2.9 or newer, with JetStream for the nodes. Throws `options.invalid`.
 * Each link has its own connection: a node so has two, and what its callers can make it publish never reaches the buckets.
 */
export function nats(options: NatsOptions = {}): Transport {
  const resolved = resolveNats(options, process.env);
  return {
    name: 'nats',
    openData: (role: NodeRole | ClientRole, events: DataLinkEvents, environment: LinkEnvironment): Promise<DataLink> =>
      NatsDataLink.open(role, events, environment, resolved),
    openControl: (nodeId: string, events: ControlLinkEvents, environment: LinkEnvironment): Promise<ControlLink> =>
      NatsControlLink.open(nodeId, events, environment, { ...resolved, credentials: resolved.controlCredentials }),
  };
}
