import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface HeapSize {
  readonly heapUsed: number;
  readonly rss: number;
}

const demoProgram = fileURLToPath(new URL('../../examples/counter/src/main.ts', import.meta.url));
const probe = fileURLToPath(new URL('heap-probe.ts', import.meta.url));
const startTimeoutMs = 30_000;

/** The counter demo as its users start it, on free ports. */
export class DemoProcess implements AsyncDisposable {
  readonly address: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, address: string) {
    this.#child = child;
    this.address = address;
  }

  /** Resolves when the demo says that it is ready. */
  static async start(natsUrl: string): Promise<DemoProcess> {
    const flags = ['--http-port', '0', '--metrics-port', '0', '--nats-url', natsUrl];
    const child = spawn(process.execPath, ['--conditions=@perkey/source', '--expose-gc', '--import', probe, demoProgram, ...flags], {
      stdio: ['ignore', 'pipe', 2, 'ipc'],
    });
    try {
      return new DemoProcess(child, `http://127.0.0.1:${await readyPort(child)}`);
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
  }

  /** After a forced collection. */
  async heap(): Promise<HeapSize> {
    const answer = once(this.#child, 'message');
    this.#child.send('heap');
    const [size] = (await answer) as [HeapSize];
    return size;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** Reads the log, one JSON line after the other; goes on reading it, so that the demo is never held up. */
function readyPort(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    if (child.stdout === null) throw new Error('the demo has no output');
    let port = 0;
    const timer = setTimeout(() => reject(new Error(`the demo was not ready within ${startTimeoutMs} ms`)), startTimeoutMs);
    child.once('exit', (code) => reject(new Error(`the demo ended with code ${code}`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const { msg, port: said } = parseLine(line);
      if (msg === 'HTTP server starting') port = said ?? 0;
      if (msg !== '=== Counter Demo Ready ===') return;
      clearTimeout(timer);
      resolve(port);
    });
  });
}

function parseLine(line: string): { readonly msg?: string; readonly port?: number } {
  try {
    return JSON.parse(line) as { msg?: string; port?: number };
  } catch {
    return {};
  }
}
