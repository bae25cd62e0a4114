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
  /** Default: one for each id, which then only calls that one, so that no id waits for another. */
  readonly connections?: number;
  readonly ids: readonly string[];
  /** Ends by itself after so many; otherwise `stop` ends it. */
  readonly requests?: number;
}

export interface Failure {
  readonly id: string;
  /** 0: no answer. */
  readonly status: number;
  readonly body: string;
}

/** What was answered for one id. */
interface Account {
  ok: number;
  unknown: number;
  lastOkAt: number;
  /** Sent, and answered, since the mark. */
  okSentSinceMark: number;
  okAnsweredSinceMark: number;
  /** When the first one that was sent since the mark was answered. */
  firstOkSinceMark: number;
  /** The longest time without an answer since the mark. */
  longestGapMs: number;
}

/** Increments counters over a fixed number of connections, each as fast as it is answered, and keeps account of every answer. */
export class HttpLoad {
  readonly failures: Failure[] = [];
  readonly done: Promise<void>;
  readonly #options: LoadOptions;
  readonly #agent: Agent;
  readonly #accounts = new Map<string, Account>();
  #sent = 0;
  #markedAt = Number.POSITIVE_INFINITY;
  #stopped = false;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#agent = new Agent({ keepAlive: true, maxSockets: options.connections ?? options.ids.length });
    this.done = this.#run();
  }

  get sent(): number {
    return this.#sent;
  }

  of(id: string): Readonly<Account> {
    return this.#account(id);
  }

  /** From now on the accounts note what is sent from now on. Gives the time, by `performance`. */
  mark(): number {
    this.#markedAt = performance.now();
    return this.#markedAt;
  }

  /** Resolves when so many more requests were sent. */
  async more(requests: number): Promise<void> {
    for (const until = this.#sent + requests; this.#sent < until;) await new Promise((resolve) => void setTimeout(resolve, 5));
  }

  /** Ends the load; resolves when the last answer is there. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.done;
  }

  /** What each counter holds. */
  async values(): Promise<ReadonlyMap<string, number>> {
    const { ids, url } = this.#options;
    const read = async (id: string): Promise<[string, number]> => {
      const { body } = await send(url, { path: `/counter/${encodeURIComponent(id)}` }, this.#agent);
      return [id, (JSON.parse(body) as { readonly value: number }).value];
    };
    const values = new Map<string, number>();
    for (let at = 0; at < ids.length; at += 200) {
      for (const [id, value] of await Promise.all(ids.slice(at, at + 200).map(read))) values.set(id, value);
    }
    return values;
  }

  /** The ids whose counters do not hold exactly what was answered; requests with an unknown outcome may count or not. */
  async inexact(): Promise<readonly string[]> {
    const values = await this.values();
    return [...values].filter(([id, value]) => !this.isExact(id, value)).map(([id, value]) => `${id}: ${value} of ${this.of(id).ok}`);
  }

  isExact(id: string, value: number): boolean {
    const { ok, unknown } = this.of(id);
    return value >= ok && value <= ok + unknown;
  }

  close(): void {
    this.#agent.destroy();
  }

  #account(id: string): Account {
    let account = this.#accounts.get(id);
    if (account === undefined) {
      const none = { ok: 0, unknown: 0, lastOkAt: 0, okSentSinceMark: 0, okAnsweredSinceMark: 0, longestGapMs: 0 };
      account = { ...none, firstOkSinceMark: Number.POSITIVE_INFINITY };
      this.#accounts.set(id, account);
    }
    return account;
  }

  async #run(): Promise<void> {
    const { ids, connections } = this.#options;
    const own = connections === undefined ? ids.map((id) => [id]) : Array.from({ length: connections }, () => ids);
    await Promise.all(own.map((these) => this.#connection(these)));
  }

  async #connection(ids: readonly string[]): Promise<void> {
    const { requests = Number.POSITIVE_INFINITY } = this.#options;
    while (!this.#stopped && this.#sent < requests) {
      const id = ids[this.#sent % ids.length]!;
      this.#sent += 1;
      await this.#one(id);
    }
  }

  async #one(id: string): Promise<void> {
    const sentAt = performance.now();
    const path = `/counter/${encodeURIComponent(id)}/increment`;
    const call = send(this.#options.url, { method: 'POST', path }, this.#agent);
    const { status, body } = await call.catch((error: unknown) => ({ status: 0, body: String(error) }));
    const now = performance.now();
    const account = this.#account(id);
    if (status !== 200) {
      if (status === 0 || body.includes('"executed":"unknown"')) account.unknown += 1;
      this.failures.push({ id, status, body });
      return;
    }
    account.ok += 1;
    if (now >= this.#markedAt) {
      account.okAnsweredSinceMark += 1;
      account.longestGapMs = Math.max(account.longestGapMs, now - Math.max(account.lastOkAt, this.#markedAt));
    }
    if (sentAt >= this.#markedAt) {
      account.okSentSinceMark += 1;
      account.firstOkSinceMark = Math.min(account.firstOkSinceMark, now);
    }
    account.lastOkAt = now;
  }
}
