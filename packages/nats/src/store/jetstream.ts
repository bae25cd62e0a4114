import type { Store } from '@perkey/core';
import { resolveJetStream } from './jetstream-options.ts';
import type { JetStreamOptions } from './jetstream-options.ts';

/**
 * The store in JetStream of NATS 2.9 or newer, which all nodes of a cluster share. Throws `options.invalid`.
 * It has a connection of its own, which only speaks to JetStream: nothing that a caller of an actor says reaches it.
 */
export function jetstream(options: JetStreamOptions = {}): Store {
  const resolved = resolveJetStream(options, process.env);
  return {
    name: 'jetstream',
    // Processes that only call load nothing of it.
    open: async (environment) => (await import('./jetstream-store.ts')).JetStreamStore.open(environment, resolved),
  };
}
