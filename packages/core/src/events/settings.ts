import type { NumberSpec } from '../base/options.ts';

/** Limits and times of what durable actors store. */
export interface EventSettings {
  readonly eventsPerCommitMax: number;
  readonly commitBytesMax: number;
  readonly commitSettleMs: number;
  readonly snapshotEvery: number;
  readonly snapshotsKept: number;
  readonly outboxPendingMax: number;
  readonly remindersMax: number;
}

/** The part of the table of defaults that is about stores. */
export const eventOptions: { readonly [Name in keyof EventSettings]: NumberSpec } = {
  eventsPerCommitMax: { kind: 'integer', default: 1_000, min: 1, max: 1_000, unit: 'events', help: 'Events that one command may raise.' },
  commitBytesMax: {
    kind: 'integer',
    default: 900_000,
    min: 1_024,
    max: 64_000_000,
    unit: 'bytes',
    help: 'Largest record of a store; what the store itself takes binds as well.',
  },
  commitSettleMs: {
    kind: 'number',
    default: 10_000,
    min: 0,
    max: 600_000,
    unit: 'ms',
    help: 'How long a node tries to learn what became of a commit that the store did not answer.',
  },
  snapshotEvery: {
    kind: 'integer',
    default: 100,
    min: 0,
    max: 1_000_000,
    unit: 'events',
    help: 'A snapshot of an aggregate is saved after so many events; 0: never.',
  },
  snapshotsKept: { kind: 'integer', default: 2, min: 1, max: 64, unit: 'snapshots', help: 'Snapshots kept of one aggregate.' },
  outboxPendingMax: {
    kind: 'integer',
    default: 1_000,
    min: 1,
    max: 100_000,
    unit: 'messages',
    help: 'Outbox messages of one actor that may wait for their delivery.',
  },
  remindersMax: { kind: 'integer', default: 100, min: 0, max: 10_000, unit: 'reminders', help: 'Reminders that one actor may have.' },
};
