import { startNatsServer } from '@perkey/nats/dev';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DemoProcess, freshCluster, type ProgramOptions } from './demo-process.ts';
import { type HttpAnswer, send } from './http-load.ts';

export interface BankAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
  readonly headers: HttpAnswer['headers'];
}

export interface BankCall {
  /** Default: POST where there is a body. */
  readonly method?: string;
  readonly body?: object | string;
  /** The key of repeats. */
  readonly key?: string;
  readonly timeoutMs?: number;
}

/** The bank on a NATS server and in a folder of its own: gateways and handlers are processes, started one by one. */
export class Bank implements AsyncDisposable {
  readonly cluster: string = freshCluster();
  readonly natsUrl: string;
  readonly folder: string;
  readonly #stack: AsyncDisposableStack;

  private constructor(natsUrl: string, folder: string, stack: AsyncDisposableStack) {
    this.natsUrl = natsUrl;
    this.folder = folder;
    this.#stack = stack;
  }

  static async start(): Promise<Bank> {
    const stack = new AsyncDisposableStack();
    const folder = await mkdtemp(join(tmpdir(), 'bank-test-'));
    stack.defer(() => rm(folder, { recursive: true, force: true }));
    const server = stack.use(await startNatsServer());
    return new Bank(server.url, folder, stack);
  }

  /** Not yet ready; for starts that fail. */
  handlerProcess(name: string, env: Readonly<Record<string, string>> = {}, nodeArgs: readonly string[] = []): DemoProcess {
    const own = { NODE_ID: name, DB_PATH: this.dbPath(name) };
    return this.#stack.use(new DemoProcess('bank', ['--role', 'handler'], { nodeArgs, env: { ...this.#env, ...own, ...env } }));
  }

  dbPath(name: string): string {
    return join(this.folder, 'data', `${name}.db`);
  }

  async handler(name: string, env?: Readonly<Record<string, string>>, nodeArgs?: readonly string[]): Promise<DemoProcess> {
    const handler = this.handlerProcess(name, env, nodeArgs);
    await handler.line('Listening for commands...');
    return handler;
  }

  async gateway(options: ProgramOptions = {}): Promise<Gateway> {
    const env = { ...this.#env, ROLE: 'sender', PORT: '0', ...options.env };
    const process = this.#stack.use(new DemoProcess('bank', [], { ...options, env }));
    const { port } = await process.lineLike(/^HTTP Server listening on :\d+$/);
    return new Gateway(process, `http://127.0.0.1:${String(port)}`);
  }

  /** Resolves when the handlers, with all their shards, are as many as these names and share them. */
  async shared(handlers: readonly DemoProcess[]): Promise<void> {
    for (;;) {
      const owned = await Promise.all(handlers.map(shardsOf));
      if (owned.reduce((sum, count) => sum + count, 0) === 64 && Math.min(...owned) >= Math.floor(64 / handlers.length)) return;
      await new Promise((resolve) => void setTimeout(resolve, 20));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  get #env(): Readonly<Record<string, string>> {
    return { NATS_URL: this.natsUrl, BANK_CLUSTER: this.cluster };
  }
}

async function shardsOf(handler: DemoProcess): Promise<number> {
  const { body } = await send(`http://127.0.0.1:${handler.port('health and metrics')}`, { path: '/health' });
  return (JSON.parse(body) as { checks: { shards: number } }).checks.shards;
}

/** One gateway, as its users reach it. */
export class Gateway {
  readonly process: DemoProcess;
  readonly url: string;

  constructor(process: DemoProcess, url: string) {
    this.process = process;
    this.url = url;
  }

  async call(path: string, { method, body, key, timeoutMs }: BankCall = {}): Promise<BankAnswer> {
    const headers: Record<string, string> = {};
    if (body !== undefined) headers['content-type'] = 'application/json';
    if (key !== undefined) headers['idempotency-key'] = key;
    if (timeoutMs !== undefined) headers['x-request-timeout-ms'] = String(timeoutMs);
    const text = typeof body === 'object' ? JSON.stringify(body) : body;
    const chosen = method ?? (body === undefined ? 'GET' : 'POST');
    const answer = await send(this.url, { method: chosen, path, headers, ...(text !== undefined && { body: text }) });
    const isJson = String(answer.headers['content-type']).includes('json');
    return {
      status: answer.status,
      headers: answer.headers,
      body: isJson ? (JSON.parse(answer.body) as BankAnswer['body']) : { text: answer.body },
    };
  }

  open(id: string, balance = '100.00', key?: string): Promise<BankAnswer> {
    const body = { account_id: id, owner_name: `Owner of ${id}`, initial_balance: balance };
    return this.call('/accounts', { body, ...(key !== undefined && { key }) });
  }
}
