import { type Client, PerkeyError } from '@perkey/core';
import { Worker } from './ledger.ts';
import { machineMs } from './machine-clock.ts';

const tickMs = 5;
/** So many calls may be under way; beyond it this process would measure itself. */
const underWayMax = 200_000;

/** What became of the calls that ended in a span of time. */
export interface Ends {
  readonly seconds: number;
  readonly ok: number;
  /** Times of those that were answered, sorted. */
  readonly okMs: readonly number[];
  /** Times of those that were refused as not executed before they waited for anything, sorted. */
  readonly refusedMs: readonly number[];
  readonly codes: Readonly<Record<string, number>>;
}

/** Calls that take the processor of the nodes, at a rate or as fast as they are answered. Keeps times and codes only. */
export class OpenLoad {
  readonly #clients: readonly Client[];
  readonly #us: number;
  readonly #timeoutMs: number;
  readonly #keys: number;
  #okMs: number[] = [];
  #refusedMs: number[] = [];
  #codes: Record<string, number> = {};
  #since = machineMs();
  #calls = 0;
  #open = 0;
  #isEnded = false;

  constructor(clients: readonly Client[], options: { readonly us: number; readonly timeoutMs: number; readonly keys: number }) {
    this.#clients = clients;
    this.#us = options.us;
    this.#timeoutMs = options.timeoutMs;
    this.#keys = options.keys;
  }

  get underWay(): number {
    return this.#open;
  }

  get calls(): number {
    return this.#calls;
  }

  /** What ended since the last look. */
  take(): Ends {
    const now = machineMs();
    const [okMs, refusedMs, codes, seconds] = [this.#okMs, this.#refusedMs, this.#codes, (now - this.#since) / 1_000];
    [this.#okMs, this.#refusedMs, this.#codes, this.#since] = [[], [], {}, now];
    return { seconds, ok: okMs.length, okMs: okMs.toSorted((a, b) => a - b), refusedMs: refusedMs.toSorted((a, b) => a - b), codes };
  }

  /** Keeps so many calls under way for a time. */
  async closed(inFlight: number, ms: number): Promise<Ends> {
    this.take();
    const end = machineMs() + ms;
    const worker = async (): Promise<void> => {
      while (machineMs() < end) await this.#call();
    };
    await Promise.all(Array.from({ length: inFlight }, worker));
    return this.take();
  }

  /** Starts calls at this rate until `stop`, whether or not earlier ones have ended. */
  start(perSecond: number): void {
    this.#isEnded = false;
    const since = machineMs();
    let made = 0;
    const timer = setInterval(() => {
      if (this.#isEnded) {
        clearInterval(timer);
        return;
      }
      const due = Math.floor(((machineMs() - since) / 1_000) * perSecond);
      for (; made < due && this.#open < underWayMax; made += 1) void this.#call();
    }, tickMs);
  }

  stop(): void {
    this.#isEnded = true;
  }

  async #call(): Promise<void> {
    const number = this.#calls;
    this.#calls += 1;
    this.#open += 1;
    const t0 = machineMs();
    const client = this.#clients[number % this.#clients.length]!;
    try {
      await client.actor(Worker, `w-${number % this.#keys}`).work({ us: this.#us }, { timeoutMs: this.#timeoutMs });
      this.#okMs.push(machineMs() - t0);
    } catch (error) {
      const { executed, code } = error instanceof PerkeyError ? error : { executed: '?', code: String(error) };
      const name = `${executed} ${code}`;
      this.#codes[name] = (this.#codes[name] ?? 0) + 1;
      if (executed === 'no' && code !== 'request.expired') this.#refusedMs.push(machineMs() - t0);
    }
    this.#open -= 1;
  }
}

export function percentile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}
