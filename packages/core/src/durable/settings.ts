import type { NumberSpec } from '../base/options.ts';

/** Limits and times of the durable actors of one node. */
export interface DurableSettings {
  readonly snapshotEvery: number;
  readonly snapshotsKept: number;
  readonly eventsPerCommitMax: number;
  readonly commitBytesMax: number;
  readonly commitTimeoutMs: number;
  readonly loadTimeoutMs: number;
  readonly commitRerunsMax: number;
}

/** The part of the table of defaults that durable actors use. */
export const durableOptions: { readonly [Name in keyof DurableSettings]: NumberSpec } = {
  snapshotEvery: {
    kind: 'integer',
    default: 100,
    min: 0,
    max: 1_000_000,
    unit: 'events',
    help: 'A snapshot of an aggregate is saved after so many events; 0: never.',
  },
  snapshotsKept: { kind: 'integer', default: 3, min: 1, max: 100, unit: 'snapshots', help: 'Snapshots that are kept of one aggregate.' },
  eventsPerCommitMax: {
    kind: 'integer',
    default: 1_000,
    min: 1,
    max: 1_000,
    unit: 'events',
    help: 'Events that one command may raise.',
  },
  commitBytesMax: {
    kind: 'integer',
    default: 1_048_576,
    min: 1_024,
    max: 67_108_864,
    unit: 'bytes',
    help: 'Largest record of one turn; what the store takes may be less.',
  },
  commitTimeoutMs: {
    kind: 'number',
    default: 10_000,
    min: 1,
    max: 600_000,
    unit: 'ms',
    help: 'How long after a doubtful answer of the store it is asked what became of a commit.',
  },
  loadTimeoutMs: {
    kind: 'number',
    default: 30_000,
    min: 1,
    max: 3_600_000,
    unit: 'ms',
    help: 'How long loading a durable actor may take.',
  },
  commitRerunsMax: {
    kind: 'integer',
    default: 20,
    min: 0,
    max: 10_000,
    unit: 'runs',
    help: 'How often a command whose commit met another one is run again on what is stored by then.',
  },
};
