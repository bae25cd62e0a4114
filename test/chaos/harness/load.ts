import type { Client } from '@perkey/core';
import { Ledger, type Seen } from './ledger.ts';
import { machineMs } from './machine-clock.ts';
import { type Outcome, outcomeOf } from './outcome.ts';
import { Waiting } from './waiting.ts';

export interface LoadOptions {
  /** Unique among the callers of a history. */
  readonly sender: string;
  /** They take turns. */
  readonly clients: readonly Client[];
  readonly keys: readonly string[];
  /** Calls of all clients together, over all keys alike, whether or not the earlier ones have ended. Every fourth is a read. */
  readonly perSecond: number;
  /** Every change carries an idempotency key. */
  readonly idempotent?: boolean;
  /** How long a call may take. Default: the client's. */
  readonly timeoutMs?: number;
}

/** For each key, how long after a moment it was first answered again. */
export interface Recovery {
  readonly lastMs: number;
  readonly medianMs: number;
}

export interface Latency {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

const tickMs = 5;
/** After a stall of this process at most so much of what was missed is made up at once. */
const burstMax = 200;

/** Calls every key again and again, and keeps what became of each call. */
export class Load {
  readonly keys: readonly string[];
  /** In the order of their ends. */
  readonly outcomes: Outcome[] = [];
  readonly #options: LoadOptions;
  readonly #waiting = new Waiting();
  readonly #followers = new Set<(outcome: Outcome) => void>();
  readonly #numbers = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #startedAt = 0;
  #stoppedAt = 0;
  #calls = 0;
  #open = 0;

  constructor(options: LoadOptions) {
    this.keys = options.keys;
    this.#options = options;
  }

  /** Starts, and resolves when every key has answered. */
  async start(): Promise<void> {
    this.#startedAt = machineMs();
    const answered = this.recovered(this.keys, this.#startedAt);
    this.#timer = setInterval(() => this.#tick(), tickMs);
    await answered;
  }

  /** Starts no more calls and waits for the end of those under way. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#stoppedAt ||= machineMs();
    await this.until('all calls end', () => this.#open === 0, 60_000);
  }

  /** What part of the calls was made that should have been: less than 1 where this process itself could not keep up. */
  get pace(): number {
    const ms = (this.#stoppedAt || machineMs()) - this.#startedAt;
    return this.#calls / ((ms / 1_000) * this.#options.perSecond);
  }

  get underWay(): number {
    return this.#open;
  }

  add(key: string, holdMs: number = 0, from: number = 0): { readonly rid: string; readonly outcome: Promise<Outcome> } {
    const { clients, sender, timeoutMs, idempotent } = this.#options;
    const index = from % clients.length;
    const line = `${sender}${index}/${key}`;
    const number = (this.#numbers.get(line) ?? 0) + 1;
    this.#numbers.set(line, number);
    const rid = `${line}/${number}`;
    const call = (): Promise<Seen> =>
      clients[index]!.actor(Ledger, key).add({ rid, holdMs }, { timeoutMs, ...(idempotent === true && { idempotencyKey: rid }) });
    return { rid, outcome: this.#note(outcomeOf({ method: 'add', key, rid }, call)) };
  }

  get(key: string, timeoutMs: number | undefined = this.#options.timeoutMs, from: number = 0): Promise<Outcome> {
    const { clients } = this.#options;
    const client = clients[from % clients.length]!;
    return this.#note(outcomeOf({ method: 'get', key, rid: '' }, () => client.actor(Ledger, key).get({ timeoutMs })));
  }

  /** One read of each of these keys now. It is tried again until it is answered, so its end is the first moment of service. */
  probe(keys: readonly string[]): void {
    for (const key of keys) void this.get(key, 30_000);
  }

  until(what: string, holds: () => boolean, limitMs: number = 15_000): Promise<void> {
    return this.#waiting.until(what, holds, limitMs, () => this.#problems());
  }

  /** Lets time pass under load. */
  pass(ms: number): Promise<void> {
    const end = machineMs() + ms;
    return this.until(`${ms} ms pass`, () => machineMs() >= end, ms + 10_000);
  }

  /**
   * Waits until each of the keys has answered a call that was begun after `since`, by an incarnation that is not `except`.
   * Rejects with the number of those that have not.
   */
  async recovered(keys: readonly string[], since: number, except: string = '', limitMs: number = 30_000): Promise<Recovery> {
    const missing = new Set(keys);
    const times: number[] = [];
    const take = ({ key, t0, t1, told }: Outcome): void => {
      if (t0 >= since && 'ok' in told && told.ok.by !== except && missing.delete(key)) times.push(t1 - since);
    };
    for (const outcome of this.outcomes.slice(this.#indexAt(since))) take(outcome);
    this.#followers.add(take);
    try {
      await this.until(`${keys.length} keys are answered`, () => missing.size === 0, limitMs);
    } catch (error) {
      throw new Error(`${missing.size} of ${keys.length} keys are not answered after ${limitMs} ms`, { cause: error });
    } finally {
      this.#followers.delete(take);
    }
    times.sort((a, b) => a - b);
    return { lastMs: times.at(-1) ?? 0, medianMs: times[times.length >> 1] ?? 0 };
  }

  /** Every key answers so many calls in a row, and none of them fails. Resolves with the time that took. */
  async answersInARow(times: number, limitMs: number): Promise<number> {
    const since = machineMs();
    for (let good = 0; good < times;) {
      if (machineMs() - since > limitMs) throw new Error(`not every key answers ${times} calls in a row within ${limitMs} ms`);
      const outcomes = await Promise.all(this.keys.map((key, i) => this.get(key, 2_000, i)));
      good = outcomes.every(({ told }) => 'ok' in told) ? good + 1 : 0;
    }
    return machineMs() - since;
  }

  /** How the calls to these keys ended that were under way at some time of the span. */
  tally(from: number = 0, to: number = Infinity, keys: readonly string[] = this.keys): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const outcome of this.within(from, to, keys)) {
      const name = nameOf(outcome);
      counts[name] = (counts[name] ?? 0) + 1;
    }
    return counts;
  }

  /** The calls to these keys that were under way at some time of the span. */
  within(from: number, to: number, keys: readonly string[] = this.keys): Outcome[] {
    const wanted = new Set(keys);
    return this.outcomes.filter(({ key, t0, t1 }) => t1 >= from && t0 <= to && wanted.has(key));
  }

  /** Of the calls to these keys that were begun in the span and answered. */
  latency(from: number, to: number, keys: readonly string[] = this.keys): Latency {
    const calls = this.within(from, to, keys).filter(({ t0, told }) => t0 >= from && 'ok' in told);
    const times = calls.map(({ t0, t1 }) => t1 - t0).sort((a, b) => a - b);
    const at = (part: number): number => times[Math.min(times.length - 1, Math.floor(times.length * part))] ?? Number.NaN;
    return { p50Ms: at(0.5), p99Ms: at(0.99), maxMs: times.at(-1) ?? Number.NaN };
  }

  /** The first outcome that ended at `since` or later; ends are nearly in order, so a second of slack is left. */
  #indexAt(since: number): number {
    let low = 0;
    let high = this.outcomes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.outcomes[middle]!.t1 < since - 1_000) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #tick(): void {
    const due = Math.floor(((machineMs() - this.#startedAt) / 1_000) * this.#options.perSecond) - this.#calls;
    const { keys } = this;
    for (let i = 0; i < Math.min(due, burstMax); i += 1) {
      const number = this.#calls;
      this.#calls += 1;
      const key = keys[number % keys.length]!;
      const from = Math.floor(number / keys.length);
      if ((number + from) % 4 === 0) void this.get(key, undefined, from);
      else this.add(key, 0, from);
    }
    this.#waiting.look();
  }

  async #note(ending: Promise<Outcome>): Promise<Outcome> {
    this.#open += 1;
    const outcome = await ending;
    this.#open -= 1;
    this.outcomes.push(outcome);
    for (const follow of this.#followers) follow(outcome);
    if (this.#open === 0 || this.#followers.size > 0) this.#waiting.look();
    return outcome;
  }

  #problems(): unknown {
    return { underWay: this.#open, ended: this.tally() };
  }
}

/** `ok`, or the verdict and the code. */
function nameOf({ told }: Outcome): string {
  return 'ok' in told ? 'ok' : `${told.executed} ${told.code}`;
}
