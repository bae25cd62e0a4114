import { actorOptions } from '../actor/settings.ts';
import { durableOptions } from '../durable/settings.ts';
import { PerkeyError } from '../base/errors.ts';
import { safeText } from '../base/log-text.ts';
import {
  type ChoiceSpec,
  type Environment,
  type GivenOptions,
  type NumberSpec,
  type TextSpec,
  type ResolvedOptions,
  resolveOptions,
} from '../base/options.ts';
import { frameEnvelopesMax } from './frame.ts';

const nameForm = /^[A-Za-z0-9_-]{1,64}$/;
const nameMeaning = 'a name of 1 to 64 of the characters A-Z a-z 0-9 _ -';

type CallerNumbers = 'requestTimeoutMs' | 'inFlightMax' | 'payloadBytesMax' | 'keyBytesMax' | 'frameCountMax' | 'connectTimeoutMs';

type CallerOptionTable = { readonly [Name in CallerNumbers]: NumberSpec } & { readonly cluster: TextSpec };

/** What callers and nodes have in common. */
export const callerOptions: CallerOptionTable = {
  cluster: {
    kind: 'text',
    env: 'PERKEY_CLUSTER',
    min: 1,
    max: 64,
    help: 'Name of the cluster, of A-Z a-z 0-9 _ -; clusters of different names never meet.',
  },
  requestTimeoutMs: {
    kind: 'number',
    default: 10_000,
    min: 1,
    max: 600_000,
    unit: 'ms',
    help: 'How long a call may take where it does not say so itself.',
  },
  inFlightMax: {
    kind: 'integer',
    default: 100_000,
    min: 1,
    max: 100_000_000,
    unit: 'requests',
    help: 'Calls of this process that may be under way; further ones are refused.',
  },
  payloadBytesMax: {
    kind: 'integer',
    default: 262_144,
    min: 1_024,
    max: 8_388_608,
    unit: 'bytes',
    help: 'Largest request in its wire form; what the server takes may be less.',
  },
  keyBytesMax: { kind: 'integer', default: 512, min: 1, max: 65_536, unit: 'bytes', help: 'Longest actor key, in UTF-8.' },
  frameCountMax: {
    kind: 'integer',
    default: 512,
    min: 1,
    max: frameEnvelopesMax,
    unit: 'envelopes',
    help: 'Requests or replies in one frame.',
  },
  connectTimeoutMs: {
    kind: 'number',
    default: 10_000,
    min: 1,
    max: 3_600_000,
    unit: 'ms',
    help: 'How long the first connection is tried for.',
  },
};

type MemberNumbers =
  | 'shards'
  | 'weight'
  | 'leaseMs'
  | 'heartbeatMs'
  | 'marginMs'
  | 'drainMs'
  | 'handoffsMax'
  | 'claimsMax'
  | 'rebalanceDelayMs'
  | 'transferTimeoutMs';

type MemberOptionTable = { readonly [Name in MemberNumbers]: NumberSpec } & {
  readonly nodeId: TextSpec;
  readonly onDuplicateId: ChoiceSpec & { readonly values: readonly ('wait' | 'exit')[] };
};

/** What a node has beside its actors and what every caller has. */
export const memberOptions: MemberOptionTable = {
  nodeId: {
    kind: 'text',
    default: '',
    min: 0,
    max: 64,
    env: 'PERKEY_NODE_ID',
    help: 'Name of the node, unique in the cluster. Empty: made up at start.',
  },
  shards: {
    kind: 'integer',
    default: 256,
    min: 1,
    max: 16_384,
    unit: 'shards',
    help: 'Shards of the cluster, fixed for its life; the first node decides, one with another number is refused.',
  },
  weight: { kind: 'number', default: 1, min: 0.001, max: 1_000, help: 'Share of the shards beside nodes of weight 1.' },
  leaseMs: {
    kind: 'number',
    default: 2_000,
    min: 50,
    max: 600_000,
    unit: 'ms',
    help: 'For so long after a renewal was sent a node may act. The same on every node.',
  },
  heartbeatMs: {
    kind: 'number',
    default: 500,
    min: 10,
    max: 200_000,
    unit: 'ms',
    help: 'Time between renewals; at most a third of leaseMs.',
  },
  marginMs: {
    kind: 'number',
    default: 500,
    min: 10,
    max: 600_000,
    unit: 'ms',
    help: 'How much longer than leaseMs others wait before they evict; covers clocks that run at different rates.',
  },
  drainMs: {
    kind: 'number',
    default: 10_000,
    min: 1,
    max: 3_600_000,
    unit: 'ms',
    help: 'How long a stopping node may take to hand its shards over, and a moving shard for its running turns.',
  },
  handoffsMax: {
    kind: 'integer',
    default: 4,
    min: 1,
    max: 16_384,
    unit: 'shards',
    help: 'Shards that a node hands over at the same time.',
  },
  claimsMax: { kind: 'integer', default: 64, min: 1, max: 16_384, unit: 'shards', help: 'Shards that a node claims at the same time.' },
  rebalanceDelayMs: {
    kind: 'number',
    default: 100,
    min: 0,
    max: 600_000,
    unit: 'ms',
    help: 'How long after the last change of members shards stay where they are, so that nodes that come together cause one move.',
  },
  transferTimeoutMs: {
    kind: 'number',
    default: 5_000,
    min: 1,
    max: 600_000,
    unit: 'ms',
    help: 'How long a successor may take to acknowledge a part of a shard.',
  },
  onDuplicateId: {
    kind: 'choice',
    values: ['wait', 'exit'],
    default: 'wait',
    help: 'What a node does whose id a live node holds: wait until it is free, or give up.',
  },
};

/** Everything that can be set for a node, with its default and bounds. */
export const nodeOptions: typeof callerOptions & typeof actorOptions & typeof memberOptions & typeof durableOptions = {
  ...callerOptions,
  ...memberOptions,
  ...actorOptions,
  ...durableOptions,
};

export type CallerSettings = ResolvedOptions<typeof callerOptions>;
export type NodeSettings = ResolvedOptions<typeof nodeOptions>;

/** Throws `options.invalid` for what is out of its bounds and for names that no table holds. */
export function callerSettings(given: GivenOptions<typeof callerOptions>, env: Environment): CallerSettings {
  const settings = resolveOptions(callerOptions, given, env);
  checkName('cluster', settings.cluster);
  return settings;
}

/** Throws `options.invalid` also where two settings do not fit each other. */
export function nodeSettings(given: GivenOptions<typeof nodeOptions>, env: Environment): NodeSettings {
  const settings = resolveOptions(nodeOptions, given, env);
  checkName('cluster', settings.cluster);
  if (settings.nodeId !== '') checkName('nodeId', settings.nodeId);
  if (settings.heartbeatMs * 3 > settings.leaseMs) {
    throw invalid('heartbeatMs', settings.heartbeatMs, `at most a third of leaseMs (${settings.leaseMs})`);
  }
  return settings;
}

function checkName(option: string, value: string): void {
  if (!nameForm.test(value)) throw invalid(option, value, nameMeaning);
}

function invalid(option: string, value: string | number, bounds: string): PerkeyError {
  return new PerkeyError('options.invalid', `option ${option} is ${safeText(value)}, but must be ${bounds}`, { details: { option } });
}
