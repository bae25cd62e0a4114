import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

interface Question {
  readonly ask: number;
  readonly operation: string;
  readonly input: unknown;
}

interface Answer {
  readonly answer: number;
  readonly value?: unknown;
  readonly error?: string;
}

/** Sent by a peer once it serves. */
const readyNumber = 0;
const endTimeoutMs = 5_000;

/** Starts a program of the benches as a process of its own. What it prints goes to standard error. */
export function startProgram(file: URL, args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): ChildProcess {
  return spawn(process.execPath, ['--conditions=@perkey/source', '--expose-gc', fileURLToPath(file), ...args], {
    stdio: ['ignore', 2, 2, 'ipc'],
    env: { ...process.env, ...env },
  });
}

/** Another process of a bench, asked over the channel that Node keeps between parent and child. It ends with this process. */
export class Peer implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  readonly #ready: Promise<unknown>;
  #asked = 0;

  constructor(child: ChildProcess) {
    this.child = child;
    this.#ready = this.#expect(readyNumber);
    child.on('message', (message) => this.#onMessage(message as Answer));
    child.once('exit', (code, signal) => this.#onExit(`a process of the bench ended (${signal ?? code})`));
    child.once('error', (error) => this.#onExit(error.message));
  }

  /** Resolves when the process serves. */
  static async start(file: URL, args: readonly string[] = []): Promise<Peer> {
    const peer = new Peer(startProgram(file, args));
    await peer.ready();
    return peer;
  }

  async ready(): Promise<void> {
    await this.#ready;
  }

  async ask<Result>(operation: string, input?: unknown): Promise<Result> {
    this.#asked += 1;
    const result = this.#expect(this.#asked);
    const question: Question = { ask: this.#asked, operation, input };
    this.child.send(question);
    return (await result) as Result;
  }

  /** Lets the process end by itself; kills it when it takes too long. */
  async stop(): Promise<void> {
    const { child } = this;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    const timer = setTimeout(() => child.kill('SIGKILL'), endTimeoutMs);
    if (child.connected) child.disconnect();
    await ended;
    clearTimeout(timer);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #expect(number: number): Promise<unknown> {
    const expected = new Promise((resolve, reject) => {
      this.#waiting.set(number, { resolve, reject });
    });
    // Who asked handles it; a process that ends must not end this one where nobody does.
    expected.catch(() => undefined);
    return expected;
  }

  #onMessage(message: Answer): void {
    const waiting = this.#waiting.get(message.answer);
    if (waiting === undefined) return;
    this.#waiting.delete(message.answer);
    if (message.error === undefined) waiting.resolve(message.value);
    else waiting.reject(new Error(message.error));
  }

  #onExit(reason: string): void {
    for (const { reject } of this.#waiting.values()) reject(new Error(reason));
    this.#waiting.clear();
  }
}

/** For a program that was started as a peer: answers what it is asked. When the other end is gone it runs `end` and exits. */
export function serve(operations: Readonly<Record<string, (input: never) => unknown>>, end: () => unknown = () => undefined): void {
  process.on('message', (message) => void answer(operations, message as Question));
  process.once('disconnect', () => void endProcess(end));
  process.send?.({ answer: readyNumber } satisfies Answer);
}

async function answer(operations: Readonly<Record<string, (input: never) => unknown>>, { ask, operation, input }: Question): Promise<void> {
  if (ask === undefined) return;
  let reply: Answer;
  try {
    reply = { answer: ask, value: await operations[operation]?.(input as never) };
  } catch (error) {
    reply = { answer: ask, error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
  if (process.connected) process.send?.(reply);
}

async function endProcess(end: () => unknown): Promise<void> {
  setTimeout(() => process.exit(1), endTimeoutMs - 1_000).unref();
  try {
    await end();
  } finally {
    process.exit();
  }
}
