import { openSync, readFileSync, writeSync } from 'node:fs';
import type { Outcome } from './outcome.ts';
import type { Seen } from './ledger.ts';

/** An effect: written by the handler, before anybody can be told. */
export interface Turn extends Seen {
  readonly is: 'turn';
  readonly at: number;
  readonly rid: string;
  readonly key: string;
}

/** What a caller in the node's own process was told. */
export interface LocalOutcome extends Outcome {
  readonly is: 'outcome';
}

export type TraceLine = Turn | LocalOutcome;

/** A file that a process appends to. What was written is there also when the process was killed right after. */
export class Trace {
  readonly #file: number;

  constructor(path: string) {
    this.#file = openSync(path, 'a');
  }

  write(line: TraceLine): void {
    writeSync(this.#file, `${JSON.stringify(line)}\n`);
  }
}

export function readTrace(path: string): TraceLine[] {
  const lines = readFileSync(path, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as TraceLine);
}
