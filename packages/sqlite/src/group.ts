import type { LogAppend } from '@perkey/core';
import type { FileFault } from './file-fault.ts';

/** The two logs of a file; their place in this list stands for them between the threads. */
export const logNames = ['events', 'states'] as const;
export type LogName = (typeof logNames)[number];

/** Numbers of one append in a packed group: log (its place in `logNames`), shard, expected sequence, epoch, bytes of the body, length of type and key. */
const numbersOfAppend = 7;

/** Appends as three large parts, since many small ones are dear to hand to another thread. */
export interface PackedAppends {
  readonly numbers: Float64Array<ArrayBuffer>;
  /** Types and keys, one behind the other. */
  readonly text: string;
  readonly bodies: Uint8Array<ArrayBuffer>;
}

export function packAppends(appends: readonly { readonly log: number; readonly append: LogAppend }[]): PackedAppends {
  let total = 0;
  for (const { append } of appends) total += append.body.length;
  const numbers = new Float64Array(appends.length * numbersOfAppend);
  const bodies = new Uint8Array(total);
  let [text, at, next] = ['', 0, 0];
  for (const { log, append } of appends) {
    const { stream, shard, expectedSequence, epoch, body } = append;
    numbers[next] = log;
    numbers[next + 1] = shard;
    numbers[next + 2] = expectedSequence;
    numbers[next + 3] = epoch;
    numbers[next + 4] = body.length;
    numbers[next + 5] = stream.type.length;
    numbers[next + 6] = stream.key.length;
    next += numbersOfAppend;
    text += stream.type + stream.key;
    bodies.set(body, at);
    at += body.length;
  }
  return { numbers, text, bodies };
}

/** One append, as it was packed. */
export interface UnpackedAppend {
  readonly log: number;
  /** The type and the key, one behind the other. */
  readonly name: string;
  readonly typeLength: number;
  readonly shard: number;
  readonly expected: number;
  readonly epoch: number;
  readonly body: Uint8Array;
}

export function unpackAppends({ numbers, text, bodies }: PackedAppends): readonly UnpackedAppend[] {
  const appends: UnpackedAppend[] = [];
  const number = (at: number): number => numbers[at] as number;
  let [textAt, bodyAt] = [0, 0];
  for (let next = 0; next < numbers.length; next += numbersOfAppend) {
    const typeLength = number(next + 5);
    const textEnd = textAt + typeLength + number(next + 6);
    const bodyBytes = number(next + 4);
    appends.push({
      log: number(next),
      name: text.slice(textAt, textEnd),
      typeLength,
      shard: number(next + 1),
      expected: number(next + 2),
      epoch: number(next + 3),
      body: new Uint8Array(bodies.buffer, bodies.byteOffset + bodyAt, bodyBytes),
    });
    textAt = textEnd;
    bodyAt += bodyBytes;
  }
  return appends;
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
  readonly appends: PackedAppends;
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
  /** Of them what the force to the disk took. */
  readonly commitSeconds: number;
}
