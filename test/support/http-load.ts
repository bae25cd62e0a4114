import { Agent, request } from 'node:http';

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export interface HttpCall {
  readonly method?: string;
  /** Sent as it is, without the tidying that URL parsers do. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

/** One request over HTTP, with nothing of it changed on the way. */
export function send(url: string, { method = 'GET', path, headers = {}, body }: HttpCall, agent?: Agent): Promise<HttpAnswer> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: hostname, port, method, path, headers, ...(agent && { agent }) }, (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('error', reject);
      incoming.on('end', () =>
        resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: Buffer.concat(chunks).toString('utf8') }),
      );
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

export interface LoadOptions {
  readonly url: string;
  readonly connections: number;
  readonly ids: readonly string[];
  /** Ends by itself after so many; otherwise `stop` ends it. */
  readonly requests?: number;
}

interface Seen {
  ok: number;
  unknown: number;
  firstOkAfter: number;
}

/** Increments counters over a fixed number of connections, each as fast as it is answered, and keeps account of every answer. */
export class HttpLoad {
  readonly failures: { readonly id: string; readonly status: number; readonly body: string; readonly at: number }[] = [];
  readonly done: Promise<void>;
  /** The longest time between two answers of success to one id. */
  longestGapMs = 0;
  readonly #options: LoadOptions;
  readonly #agent: Agent;
  readonly #seen = new Map<string, Seen>();
  readonly #lastOk = new Map<string, number>();
  #sent = 0;
  #stopped = false;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#agent = new Agent({ keepAlive: true, maxSockets: options.connections });
    this.done = this.#run();
  }

  get sent(): number {
    return this.#sent;
  }

  oks(id: string): number {
    return this.#seen.get(id)?.ok ?? 0;
  }

  unknowns(id: string): number {
    return this.#seen.get(id)?.unknown ?? 0;
  }

  /** When this id was last, or first after `at`, incremented; on the clock of `performance`. */
  firstOkAfter(id: string, at: number): number {
    const seen = this.#seen.get(id);
    return seen !== undefined && seen.firstOkAfter >= at ? seen.firstOkAfter : Number.POSITIVE_INFINITY;
  }

  /** From now on `firstOkAfter` notes the first success of each id among requests that were sent later. */
  mark(): number {
    this.#markedAt = performance.now();
    return this.#markedAt;
  }

  #markedAt = Number.POSITIVE_INFINITY;

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.done;
  }

  /** The ids whose counters do not hold exactly what was answered; `unknown` outcomes may count or not. */
  async inexact(ids: readonly string[] = this.#options.ids): Promise<readonly string[]> {
    const wrong: string[] = [];
    const each = async (id: string): Promise<void> => {
      const { body } = await send(this.#options.url, { path: `/counter/${encodeURIComponent(id)}` }, this.#agent);
      const { value } = JSON.parse(body) as { readonly value: number };
      const least = this.oks(id);
      if (value < least || value > least + this.unknowns(id)) wrong.push(`${id}: ${value}, answered ${least}`);
    };
    for (let at = 0; at < ids.length; at += 200) await Promise.all(ids.slice(at, at + 200).map(each));
    return wrong;
  }

  close(): void {
    this.#agent.destroy();
  }

  async #run(): Promise<void> {
    await Promise.all(Array.from({ length: this.#options.connections }, () => this.#connection()));
  }

  async #connection(): Promise<void> {
    const { ids, requests = Number.POSITIVE_INFINITY } = this.#options;
    while (!this.#stopped && this.#sent < requests) {
      const id = ids[this.#sent % ids.length]!;
      this.#sent += 1;
      await this.#one(id);
    }
  }

  async #one(id: string): Promise<void> {
    const sentAt = performance.now();
    const path = `/counter/${encodeURIComponent(id)}/increment`;
    let answer: HttpAnswer;
    try {
      answer = await send(this.#options.url, { method: 'POST', path }, this.#agent);
    } catch (error) {
      answer = { status: 0, headers: {}, body: String(error) };
    }
    const now = performance.now();
    const seen = this.#seen.get(id) ?? { ok: 0, unknown: 0, firstOkAfter: -1 };
    this.#seen.set(id, seen);
    if (answer.status === 200) {
      seen.ok += 1;
      this.longestGapMs = Math.max(this.longestGapMs, now - (this.#lastOk.get(id) ?? now));
      this.#lastOk.set(id, now);
      if (sentAt >= this.#markedAt && seen.firstOkAfter < this.#markedAt) seen.firstOkAfter = now;
    } else {
      if (answer.status === 0 || answer.body.includes('"executed":"unknown"')) seen.unknown += 1;
      this.failures.push({ id, status: answer.status, body: answer.body, at: now });
    }
  }
}
