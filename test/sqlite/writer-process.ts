import type { Store } from '@perkey/core';
import { storeEnvironment } from '@perkey/core/testing';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('writer.ts', import.meta.url));

/** The highest number of each stream. */
export type Acknowledged = ReadonlyMap<string, number>;

/** The writing process, and what it was told. */
export class WriterProcess {
  readonly #child: ChildProcess;
  #output = '';

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.#output += text));
  }

  /** Resolves when the process has the store open. */
  static async start(path: string, synchronous: string): Promise<WriterProcess> {
    const child = spawn(process.execPath, ['--conditions=@perkey/source', program, path, synchronous], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const writer = new WriterProcess(child);
    let errors = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (errors += text));
    const ended = once(child, 'close').then(() => true);
    while (!writer.#output.includes('open\n')) {
      if (await Promise.race([ended, delay(5, false)])) throw new Error(`the writer ended: ${errors}`);
    }
    return writer;
  }

  /** Writes for `ms`, and until two appends of each of 16 streams were acknowledged, then dies; gives what was acknowledged before. */
  async killAfter(ms: number): Promise<Acknowledged> {
    await delay(ms);
    while (this.#child.exitCode === null && this.#output.split('\n').length < 33) await delay(5);
    const closed = once(this.#child, 'close');
    this.#child.kill('SIGKILL');
    await closed;
    const acknowledged = new Map<string, number>();
    // The last line may be cut short.
    for (const line of this.#output.split('\n').slice(0, -1)) {
      const [key = '', number] = line.split(' ');
      if (number !== undefined) acknowledged.set(key, Number(number));
    }
    return acknowledged;
  }
}

export interface Survivors {
  readonly acknowledged: number;
  /** Acknowledged, and not there. */
  readonly lost: number;
  /** There, and never acknowledged: at most the one under way on each stream. */
  readonly more: number;
  /** Numbers that were left out or came twice. */
  readonly torn: number;
}

/** What a store holds of what was acknowledged. */
export async function survivors(store: Store, acknowledged: Acknowledged): Promise<Survivors> {
  const opened = await store.open(storeEnvironment());
  try {
    const found = new Map<string, number>();
    let torn = 0;
    for await (const { records } of opened.events.read({ after: 0, batchMax: 1_000 })) {
      for (const { body } of records) {
        const [key = '', number = ''] = Buffer.from(body).toString().trim().split(' ');
        if (Number(number) !== (found.get(key) ?? 0) + 1) torn += 1;
        found.set(key, Number(number));
      }
    }
    const sum = (numbers: Iterable<number>): number => [...numbers].reduce((total, number) => total + number, 0);
    const behind = [...acknowledged].map(([key, number]) => number - (found.get(key) ?? 0));
    return {
      acknowledged: sum(acknowledged.values()),
      lost: sum(behind.filter((count) => count > 0)),
      more: sum([...found].map(([key, number]) => Math.max(0, number - (acknowledged.get(key) ?? 0)))),
      torn,
    };
  } finally {
    await opened.close();
  }
}
