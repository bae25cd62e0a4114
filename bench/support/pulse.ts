import { type Client, PerkeyError } from '@perkey/core';
import { setTimeout as delay } from 'node:timers/promises';
import { Counter } from './failover-counter.ts';

export interface Beat {
  readonly key: number;
  readonly startedAt: number;
  readonly endedAt: number;
  /** Of the process that answered; 0 where none did. */
  readonly pid: number;
  readonly value: number;
  readonly executed: 'no' | 'yes' | 'unknown';
  readonly code: string;
}

/** Steady load: one request after the other for each key, at most one each `everyMs`, and a record of every one of them. */
export class Pulse {
  readonly beats: Beat[] = [];
  readonly #caller: Pick<Client, 'actor'>;
  readonly #prefix: string;
  readonly #keys: number;
  readonly #everyMs: number;
  #running = true;
  #workers: Promise<void>[] = [];

  constructor(caller: Pick<Client, 'actor'>, prefix: string, keys: number, everyMs: number) {
    this.#caller = caller;
    this.#prefix = prefix;
    this.#keys = keys;
    this.#everyMs = everyMs;
  }

  start(): void {
    this.#workers = Array.from({ length: this.#keys }, (_, key) => this.#work(key));
  }

  /** Resolves when every request has its outcome. */
  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#workers);
  }

  async #work(key: number): Promise<void> {
    await delay((this.#everyMs * key) / this.#keys);
    while (this.#running) {
      const startedAt = performance.now();
      this.beats.push(await this.#beat(key, startedAt));
      await delay(Math.max(0, this.#everyMs - (performance.now() - startedAt)));
    }
  }

  async #beat(key: number, startedAt: number): Promise<Beat> {
    try {
      const { pid, value } = await this.#caller.actor(Counter, `${this.#prefix}-${key}`).increment({ amount: 1 });
      return { key, startedAt, endedAt: performance.now(), pid, value, executed: 'yes', code: 'ok' };
    } catch (error) {
      const { executed, code } = error instanceof PerkeyError ? error : { executed: 'unknown' as const, code: String(error) };
      return { key, startedAt, endedAt: performance.now(), pid: 0, value: 0, executed, code };
    }
  }
}
