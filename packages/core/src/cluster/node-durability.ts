import type { DurabilityFactory } from '../actor/durability.ts';
import type { Guard } from '../contract/calls.ts';
import type { OpenStore } from '../contract/store.ts';
import type { LinkEnvironment } from '../contract/transport.ts';
import { durableActors } from '../durable/durable-actors.ts';
import type { OwnershipParts } from './ownership-parts.ts';
import type { Incarnated } from './records.ts';
import type { SessionServices } from './session-services.ts';
import type { NodeSettings } from './settings.ts';

export interface NodeDurabilityOptions {
  readonly store: OpenStore | undefined;
  readonly settings: NodeSettings;
  readonly environment: LinkEnvironment;
}

/** Binds the durable actors of one incarnation to its store, its lease and its shards; undefined without a store. */
export function nodeDurability(
  { store, settings, environment }: NodeDurabilityOptions,
  self: Incarnated,
  guard: Guard,
  ownership: () => OwnershipParts,
  { duties, onFenced }: Pick<SessionServices, 'duties' | 'onFenced'>,
): DurabilityFactory | undefined {
  const { clock, random, log, metrics } = environment;
  if (store === undefined) return undefined;
  const isOpen = (shard: number, epoch: number): boolean => ownership().manager.epochOf(shard) === epoch;
  return durableActors({
    ...{ store, settings, shards: settings.shards, clock, random, log, metrics, owner: `${self.nodeId}/${self.incarnation}` },
    mayAct: (now) => guard.mayAct(now),
    mayStore: (shard, epoch) => ownership().homes.ensure(shard, epoch, () => isOpen(shard, epoch)),
    duties,
    onFenced,
  });
}
