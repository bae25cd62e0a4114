import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { Metrics } from '../../base/metrics.ts';
import type { Random } from '../../base/random.ts';
import type { Caller, InboundRequest } from '../../contract/calls.ts';
import type { KeptRecords } from '../../contract/store.ts';
import type { Publish } from '../../contract/transport.ts';
import type { WakeSettings } from './settings.ts';

/** What wakes actors; `ActorHost` does. */
export interface WakingHost {
  wake(shard: number, type: string, key: string, request?: InboundRequest): boolean;
}

export interface DutiesOptions {
  readonly cluster: string;
  readonly records: KeptRecords;
  readonly settings: WakeSettings & { readonly commitSettleMs: number };
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly host: () => WakingHost;
  /** For messages to actors; asked for each time. */
  readonly caller: () => Caller;
  /** Undefined where the transport has no subjects. */
  readonly publish: Publish | undefined;
  /** A wake was written under a later epoch than the one under which this node owns the shard, as after the records of the cluster were lost. */
  readonly onFenced: (shard: number, epoch: number) => void;
  /** The lease. */
  readonly mayAct: () => boolean;
}
