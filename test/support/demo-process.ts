import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const root = join(import.meta.dirname, '../..');
/** The pinned Node, as `npm run` takes it. */
const nodeProgram = join(root, 'node_modules/.bin/node');

export interface LogLine {
  readonly msg: string;
  readonly pid: number;
  readonly [field: string]: unknown;
}

export interface ProgramOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Before the program's file. */
  readonly nodeArgs?: readonly string[];
}

const programs = {
  main: 'counter/src/main.ts',
  'node-main': 'counter/src/node-main.ts',
  accounting: 'accounting/src/main.ts',
  bank: 'bank/src/main.ts',
} as const;

/** One program of the demos, as a user starts it. It is told to stop, and killed if need be, when it is disposed of. */
export class DemoProcess implements AsyncDisposable {
  readonly lines: LogLine[] = [];
  readonly exited: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  stdout = '';
  stderr = '';
  readonly #child: ChildProcess;
  readonly #waiting = new Set<() => void>();

  constructor(program: keyof typeof programs, args: readonly string[], options: ProgramOptions = {}) {
    const file = join(root, 'examples', programs[program]);
    this.#child = spawn(nodeProgram, ['--conditions=@perkey/source', ...(options.nodeArgs ?? []), file, ...args], {
      cwd: root,
      env: { ...process.env, NATS_URL: '', ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.exited = once(this.#child, 'close').then(([code, signal]) => ({ code: code as number | null, signal: signal as string | null }));
    void this.exited.then(() => this.#wake());
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      this.stdout += `${line}\n`;
      if (line.startsWith('{')) this.lines.push(JSON.parse(line) as LogLine);
      this.#wake();
    });
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
  }

  /** A demo on free ports in a cluster of its own, ready. */
  static async ready(args: readonly string[] = [], options: ProgramOptions = {}): Promise<DemoProcess> {
    const demo = new DemoProcess('main', ['--http-port', '0', '--metrics-port', '0', '--cluster', freshCluster(), ...args], options);
    try {
      await demo.line('=== Counter Demo Ready ===');
    } catch (error) {
      await demo[Symbol.asyncDispose]();
      throw error;
    }
    return demo;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port('HTTP server starting')}`;
  }

  get metricsUrl(): string {
    return `http://127.0.0.1:${this.port('prometheus metrics server starting')}/metrics`;
  }

  port(message: string): number {
    return this.lines.find(({ msg }) => msg === message)?.['port'] as number;
  }

  /** The first line with this message of which `fits` is true, once it was written. Rejects when the program ends without it. */
  line(message: string, fits: (line: LogLine) => boolean = () => true): Promise<LogLine> {
    return this.#first(message, (line) => line.msg === message && fits(line));
  }

  /** The same for a message of this form. */
  lineLike(form: RegExp): Promise<LogLine> {
    return this.#first(String(form), ({ msg }) => form.test(msg));
  }

  async #first(message: string, fits: (line: LogLine) => boolean): Promise<LogLine> {
    for (;;) {
      const found = this.lines.find(fits);
      if (found) return found;
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
        throw new Error(`the program ended before "${message}":\n${this.stdout}${this.stderr}`);
      }
      await new Promise<void>((resolve) => void this.#waiting.add(resolve));
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** How it ended after SIGTERM, and how long that took. */
  async stop(): Promise<{ readonly code: number | null; readonly signal: string | null; readonly tookMs: number }> {
    const since = performance.now();
    this.signal('SIGTERM');
    const exit = await this.exited;
    return { ...exit, tookMs: performance.now() - since };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.signal('SIGTERM');
    const limit = setTimeout(() => this.signal('SIGKILL'), 8_000);
    await this.exited;
    clearTimeout(limit);
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }
}

/** Demos of different clusters never meet. */
export function freshCluster(): string {
  return `test-${process.pid}-${Math.random().toString(36).slice(2, 8)}`;
}
