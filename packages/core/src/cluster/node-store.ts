import type { ActorDefinition } from '../actor/definition.ts';
import { storeMissing } from '../actor/refusals.ts';
import type { OpenStore, Store, StoreEnvironment } from '../contract/store.ts';
import type { PrivateStore } from './ownership-parts.ts';

/** The store of a node, open, and how it stands to the cluster. */
export interface NodeStore {
  readonly open: OpenStore;
  /** As in the record of the cluster: the name of a store that all nodes share, or `private`. */
  readonly kind: string;
}

/** Opens the store, and says what acknowledged means with it. Rejects as `Store.open` does. */
export async function openStore(store: Store, environment: StoreEnvironment): Promise<NodeStore> {
  const { log, metrics } = environment;
  const open = await store.open(environment);
  const { survivesKill, survivesPowerLoss, text } = open.durability;
  const level = survivesKill && survivesPowerLoss === true ? 'info' : 'warn';
  log[level]({ store: store.name, survivesKill, survivesPowerLoss }, text);
  const gauge = (survives: 'kill' | 'power_loss', holds: boolean): void => {
    const help = '1 where what the store acknowledged is known to survive it.';
    metrics.gauge('perkey_store_survives', help, { survives }).set(holds ? 1 : 0);
  };
  gauge('kill', survivesKill);
  gauge('power_loss', survivesPowerLoss === true);
  const { privateId } = open;
  return { open, kind: privateId === undefined ? store.name : 'private' };
}

/** What the other nodes have to know of the store as it is now; undefined for one that they share. */
export async function privateStoreOf(store: OpenStore | undefined): Promise<PrivateStore | undefined> {
  if (store?.privateId === undefined) return undefined;
  return { id: store.privateId, held: await store.shardsHeld() };
}

export function isDurable({ aggregate, implementation }: ActorDefinition): boolean {
  return aggregate !== undefined || implementation['persist'] !== undefined;
}

/** Throws `store.missing` where an actor is durable. */
export function refuseDurable(actors: readonly ActorDefinition[]): void {
  const durable = actors.find(isDurable);
  if (durable !== undefined) throw storeMissing(durable.contract.type);
}
