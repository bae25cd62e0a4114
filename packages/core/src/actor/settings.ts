import type { FlagSpec, NumberSpec } from '../base/options.ts';

/** Limits and times of the actors of one node. */
export interface ActorSettings {
  readonly keyBytesMax: number;
  readonly mailboxMax: number;
  readonly nodeQueueMax: number;
  readonly actorsResidentMax: number;
  readonly yieldAfterMs: number;
  readonly turnTimeoutMs: number;
  readonly slowTurnMs: number;
  readonly backgroundMax: number;
  readonly idempotencyCountMax: number;
  readonly idempotencyAgeMs: number;
  readonly idempotencyEntriesMax: number;
  readonly passivateAfterMs: number;
  readonly authorizeTimeoutMs: number;
  readonly checkOutputs: boolean;
}

const day = 86_400_000;

/** The part of the table of defaults that the actors of a node use. */
export const actorOptions: { readonly [Name in keyof ActorSettings]: ActorSettings[Name] extends boolean ? FlagSpec : NumberSpec } = {
  keyBytesMax: { kind: 'integer', default: 512, min: 1, max: 65_536, unit: 'bytes', help: 'Longest actor key, in UTF-8.' },
  mailboxMax: { kind: 'integer', default: 1_000, min: 1, max: 10_000_000, unit: 'requests', help: 'Requests that may wait for one actor.' },
  nodeQueueMax: {
    kind: 'integer',
    default: 100_000,
    min: 1,
    max: 100_000_000,
    unit: 'requests',
    help: 'Requests that may wait for all actors of a node.',
  },
  actorsResidentMax: {
    kind: 'integer',
    default: 1_000_000,
    min: 1,
    max: 100_000_000,
    unit: 'actors',
    help: 'Actors in memory; further keys are refused, none is dropped.',
  },
  yieldAfterMs: {
    kind: 'number',
    default: 4,
    min: 0,
    max: 1_000,
    unit: 'ms',
    help: 'Turns run for so long before the event loop has its turn.',
  },
  turnTimeoutMs: {
    kind: 'number',
    default: 60_000,
    min: 0,
    max: day,
    unit: 'ms',
    help: 'An asynchronous turn that takes longer quarantines its actor until it ends; 0: no limit.',
  },
  slowTurnMs: {
    kind: 'number',
    default: 1_000,
    min: 1,
    max: day,
    unit: 'ms',
    help: 'Turns that hold the event loop for longer are logged.',
  },
  backgroundMax: {
    kind: 'integer',
    default: 16,
    min: 1,
    max: 10_000,
    unit: 'tasks',
    help: 'Background work that may run at once for one actor.',
  },
  idempotencyCountMax: {
    kind: 'integer',
    default: 100,
    min: 0,
    max: 1_000_000,
    unit: 'replies',
    help: 'Replies remembered by idempotency key for one actor.',
  },
  idempotencyAgeMs: {
    kind: 'number',
    default: 600_000,
    min: 0,
    max: 7 * day,
    unit: 'ms',
    help: 'How long a reply is remembered by its idempotency key.',
  },
  idempotencyEntriesMax: {
    kind: 'integer',
    default: 1_000_000,
    min: 0,
    max: 100_000_000,
    unit: 'replies',
    help: 'Replies remembered by idempotency key for one actor type of a node; beyond it the oldest go first.',
  },
  passivateAfterMs: {
    kind: 'number',
    default: 600_000,
    min: 1,
    max: 365 * day,
    unit: 'ms',
    help: 'Durable actors without work for so long leave the memory; they are loaded again when they are called.',
  },
  authorizeTimeoutMs: {
    kind: 'number',
    default: 5_000,
    min: 1,
    max: 600_000,
    unit: 'ms',
    help: 'How long the authorisation hook may take for one request, which is then refused.',
  },
  checkOutputs: { kind: 'flag', default: false, help: 'Check what handlers return against the output schema of the method.' },
};
