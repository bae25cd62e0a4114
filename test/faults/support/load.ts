import type { Client } from '@perkey/core';
import { Ledger, type Seen } from './ledger.ts';
import { type Outcome, outcomeOf } from './outcome.ts';
import { Waiting } from './waiting.ts';

export interface LoadOptions {
  /** Unique among the callers of a history. */
  readonly sender: string;
  readonly client: Client;
  readonly keys: readonly string[];
  /** Each key gets a call so often, whether or not the earlier ones have ended. Every fourth is a read. */
  readonly everyMs: number;
  /** How long a call may take. Default: the client's. */
  readonly timeoutMs?: number;
}

/** Calls every key again and again, and keeps what became of each call. */
export class Load {
  readonly keys: readonly string[];
  readonly outcomes: Outcome[] = [];
  readonly #options: LoadOptions;
  readonly #waiting = new Waiting();
  readonly #open = new Set<Promise<Outcome>>();
  readonly #numbers = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #beat = 0;

  constructor(options: LoadOptions) {
    this.keys = options.keys;
    this.#options = options;
  }

  /** Starts, and resolves when every key has answered. */
  async start(): Promise<void> {
    this.#timer = setInterval(() => this.#round(), this.#options.everyMs);
    await this.until('every key answers', () => this.firstSuccesses(this.keys, 0).every(Number.isFinite));
  }

  /** Starts no more calls, waits for the end of those under way, and reads every key once more. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#open);
    await Promise.all(this.keys.map((key) => this.get(key)));
  }

  add(key: string, holdMs: number = 0): { readonly rid: string; readonly outcome: Promise<Outcome> } {
    const number = (this.#numbers.get(key) ?? 0) + 1;
    this.#numbers.set(key, number);
    const rid = `${this.#options.sender}/${key}/${number}`;
    const { client, timeoutMs } = this.#options;
    const call = (): Promise<Seen> => client.actor(Ledger, key).add({ rid, holdMs }, { timeoutMs });
    return { rid, outcome: this.#note(outcomeOf({ method: 'add', key, rid }, call)) };
  }

  get(key: string): Promise<Outcome> {
    const { client, timeoutMs } = this.#options;
    return this.#note(outcomeOf({ method: 'get', key, rid: '' }, () => client.actor(Ledger, key).get({ timeoutMs })));
  }

  until(what: string, holds: () => boolean, limitMs: number = 15_000): Promise<void> {
    return this.#waiting.until(what, holds, limitMs, () => this.#problems());
  }

  /** When each of the keys was first answered after `since`, by an incarnation that is not `except`; Infinity for one that was not. */
  firstSuccesses(keys: readonly string[], since: number, except: string = ''): number[] {
    const firsts = new Map<string, number>();
    for (const { key, t1, told } of this.outcomes)
      if (t1 > since && 'ok' in told && told.ok.by !== except && t1 < (firsts.get(key) ?? Infinity)) firsts.set(key, t1);
    return keys.map((key) => firsts.get(key) ?? Infinity);
  }

  /** Waits until each key was answered anew, and tells how long that took from `since` for the last of them. */
  async recovered(keys: readonly string[], since: number, except: string = '', limitMs: number = 20_000): Promise<number> {
    const last = (): number => Math.max(...this.firstSuccesses(keys, since, except));
    await this.until(`all of ${keys.length} keys are answered`, () => Number.isFinite(last()), limitMs);
    return last() - since;
  }

  /** How the calls to these keys ended that were under way at some time of the span. */
  tally(from: number = 0, to: number = Infinity, keys: readonly string[] = this.keys): Record<string, number> {
    const wanted = new Set(keys);
    const counts: Record<string, number> = {};
    for (const { key, t0, t1, told } of this.outcomes) {
      if (!wanted.has(key) || t1 < from || t0 > to) continue;
      const name = 'ok' in told ? 'ok' : `${told.executed} ${told.code}`;
      counts[name] = (counts[name] ?? 0) + 1;
    }
    return counts;
  }

  #round(): void {
    this.#beat += 1;
    for (const key of this.keys) {
      if (this.#beat % 4 === 0) void this.get(key);
      else this.add(key);
    }
  }

  async #note(ending: Promise<Outcome>): Promise<Outcome> {
    this.#open.add(ending);
    const outcome = await ending;
    this.#open.delete(ending);
    this.outcomes.push(outcome);
    this.#waiting.look();
    return outcome;
  }

  #problems(): unknown {
    return { underWay: this.#open.size, ended: this.tally() };
  }
}
