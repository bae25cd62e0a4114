import type { OptionTable } from '@perkey/core';

export interface ReadModelLimits {
  /** The file; it and its folder are made where they are missing. Not the file of a store. */
  readonly path?: string | undefined;
  readonly synchronous?: 'full' | 'normal' | undefined;
  readonly busyTimeoutMs?: number | undefined;
}

type Spec<Kind extends string> = Extract<OptionTable[string], { readonly kind: Kind }>;
export type ReadModelOptionTable = Readonly<
  Record<'path', Spec<'text'>> & Record<'synchronous', Spec<'choice'>> & Record<'busyTimeoutMs', Spec<'integer' | 'number'>>
>;

/** For the configuration page. */
export const readModelOptionTable: ReadModelOptionTable = {
  path: { kind: 'text', min: 1, max: 4_096, help: 'The file of the read model; other processes may read it and write to it.' },
  synchronous: {
    kind: 'choice',
    default: 'normal',
    values: ['full', 'normal'],
    help: 'With normal a loss of power may take back the last batches together with their checkpoints, and they are read again.',
  },
  busyTimeoutMs: {
    kind: 'integer',
    default: 250,
    min: 0,
    max: 10_000,
    unit: 'ms',
    help: 'How long a write waits for another process that writes; the event loop waits with it.',
  },
};
