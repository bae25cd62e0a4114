import { closeSync, existsSync, openSync, readSync, writeSync } from 'node:fs';
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

/** Reads what a process has written, each line once. */
export class TraceReader {
  readonly #path: string;
  #offset = 0;
  #rest = '';

  constructor(path: string) {
    this.#path = path;
  }

  /** What came since the last call. */
  next(): TraceLine[] {
    if (!existsSync(this.#path)) return [];
    const file = openSync(this.#path, 'r');
    try {
      const lines: TraceLine[] = [];
      const chunk = Buffer.alloc(1_048_576);
      for (;;) {
        const read = readSync(file, chunk, 0, chunk.length, this.#offset);
        if (read === 0) return lines;
        this.#offset += read;
        // All that is written is ASCII, so no character is cut in two.
        const texts = `${this.#rest}${chunk.toString('latin1', 0, read)}`.split('\n');
        this.#rest = texts.pop() ?? '';
        for (const text of texts) lines.push(JSON.parse(text) as TraceLine);
      }
    } finally {
      closeSync(file);
    }
  }
}
