import type { FileFault } from './file-fault.ts';

/** The two logs of a file; their place in this list stands for them between the threads. */
export const logNames = ['events', 'states'] as const;
export type LogName = (typeof logNames)[number];

/** Appends by columns, and their bodies as one run of bytes: a message of few large parts is cheap to hand to another thread. */
export interface AppendColumns {
  /** Places in `logNames`. */
  readonly logs: number[];
  readonly types: string[];
  readonly keys: string[];
  readonly shards: number[];
  readonly expected: number[];
  readonly epochs: number[];
  readonly lengths: number[];
  readonly bodies: Uint8Array<ArrayBuffer>;
}

/** Everything else that is written. What each gives back stands with it. */
export type Edit =
  /** 0. */
  | {
      readonly kind: 'saveSnapshot';
      readonly type: string;
      readonly key: string;
      readonly sequence: number;
      readonly kept: number;
      readonly body: Uint8Array;
    }
  /** 0. */
  | { readonly kind: 'forgetSnapshots'; readonly type: string; readonly key: string }
  /** The revision, 0 where another was expected. */
  | { readonly kind: 'writeRecord'; readonly key: string; readonly value: string; readonly expectedRevision: number }
  /** 0. */
  | { readonly kind: 'forgetRecord'; readonly key: string; readonly upToRevision: number }
  /** 0. Records that are not the last of their stream, the oldest first. */
  | { readonly kind: 'removeRecords'; readonly log: LogName; readonly sequences: readonly number[] };

/** What goes into one transaction. */
export interface Group {
  readonly appends: AppendColumns;
  readonly edits: readonly Edit[];
}

/** `certain`: nothing of it is in the file, nor ever will be. */
export interface GroupFault extends FileFault {
  readonly certain: boolean;
}

export interface GroupAnswer {
  /** For each append its sequence, or 0 for a conflict, or a fault. */
  readonly appends: readonly (number | GroupFault)[];
  readonly edits: readonly (number | GroupFault)[];
  readonly transactions: number;
  readonly seconds: number;
}
