import type { OptionTable } from '@perkey/core';

export interface SqliteOptions {
  /** The file; it and its folder are made where they are missing. */
  readonly path?: string | undefined;
  readonly synchronous?: 'full' | 'normal' | 'off' | undefined;
  readonly recordBytesMax?: number | undefined;
  readonly snapshotBytesMax?: number | undefined;
  readonly waitingBytesMax?: number | undefined;
  readonly fileBytesMax?: number | undefined;
  readonly checkpointPages?: number | undefined;
}

type Spec<Kind extends string> = Extract<OptionTable[string], { readonly kind: Kind }>;
type NumberName = 'recordBytesMax' | 'snapshotBytesMax' | 'waitingBytesMax' | 'fileBytesMax' | 'checkpointPages';
export type SqliteOptionTable = Readonly<
  Record<'path', Spec<'text'>> & Record<'synchronous', Spec<'choice'>> & Record<NumberName, Spec<'integer' | 'number'>>
>;

/** For the configuration page. */
export const sqliteOptionTable: SqliteOptionTable = {
  path: { kind: 'text', min: 1, max: 4_096, env: 'PERKEY_SQLITE_PATH', help: 'The file of the store; one file belongs to one node.' },
  synchronous: {
    kind: 'choice',
    default: 'full',
    values: ['full', 'normal', 'off'],
    env: 'PERKEY_SQLITE_SYNCHRONOUS',
    help: 'When what is written is forced to the disk; with anything but full a loss of power loses what was acknowledged last.',
  },
  recordBytesMax: { kind: 'integer', default: 1_000_000, min: 1_024, max: 67_108_864, unit: 'bytes', help: 'Largest commit or state.' },
  snapshotBytesMax: { kind: 'integer', default: 16_000_000, min: 1_024, max: 268_435_456, unit: 'bytes', help: 'Largest snapshot.' },
  waitingBytesMax: {
    kind: 'integer',
    default: 268_435_456,
    min: 1_048_576,
    max: 4_294_967_296,
    unit: 'bytes',
    help: 'What may wait for the disk; beyond it appends are refused as not executed.',
  },
  fileBytesMax: {
    kind: 'integer',
    default: 1_099_511_627_776,
    min: 1_048_576,
    max: 17_592_186_044_416,
    unit: 'bytes',
    help: 'The file grows no larger; at the limit appends are refused as on a full disk.',
  },
  checkpointPages: {
    kind: 'integer',
    default: 4_000,
    min: 100,
    max: 1_000_000,
    unit: 'pages',
    help: 'How long the log beside the file may grow before it is worked into the file.',
  },
};
