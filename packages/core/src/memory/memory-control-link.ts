import type { RecordStore } from '../contract/record-store.ts';
import { PerkeyError } from '../base/errors.ts';
import type { ControlLink, ControlLinkEvents, LinkEnvironment, Publish } from '../contract/transport.ts';
import { CallbackGuard } from './guarded-callback.ts';
import type { MemoryCluster } from './memory-cluster.ts';
import type { MemoryLinkParts } from './memory-link-parts.ts';
import { MemoryRecordStore } from './memory-record-store.ts';
import { MemorySession } from './memory-session.ts';

export class MemoryControlLink implements ControlLink {
  readonly members: RecordStore;
  readonly shards: RecordStore;
  readonly #session: MemorySession;
  readonly #environment: LinkEnvironment;
  readonly #cluster: MemoryCluster;

  constructor({ broker, cluster, environment, deliveries }: MemoryLinkParts, events: ControlLinkEvents) {
    const guard = new CallbackGuard('control', environment);
    this.#environment = environment;
    this.#cluster = cluster;
    this.#session = new MemorySession(broker, environment.clock, {
      attached: () => {
        for (const store of stores) store.attached();
        guard.call('onState', () => events.onState(true));
      },
      detached: () => {
        for (const store of stores) store.detached();
      },
      noticedDown: () => guard.call('onState', () => events.onState(false)),
    });
    const members = new MemoryRecordStore(cluster.members, deliveries, this.#session, guard);
    const shards = new MemoryRecordStore(cluster.shards, deliveries, this.#session, guard);
    const stores = [members, shards];
    this.members = members;
    this.shards = shards;
  }

  readonly publish: Publish = (publication) => {
    if (!this.#session.up) return Promise.reject(new PerkeyError('store.unavailable', 'not connected to the broker'));
    this.#cluster.publish(publication);
    return Promise.resolve();
  };

  get up(): boolean {
    return this.#session.up;
  }

  async open(): Promise<this> {
    await this.#session.open(this.#environment.connectTimeoutMs);
    return this;
  }

  reset(): void {
    this.#session.reset();
  }

  close(): Promise<void> {
    this.#session.close();
    return Promise.resolve();
  }
}
