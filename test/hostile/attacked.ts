import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { marker } from './corpus.ts';
import type { Health, Ready } from './health.ts';

const root = join(import.meta.dirname, '../..');

type Told = { readonly ready?: Ready; readonly health?: Health; readonly count?: number };

/** The process that is attacked. */
export class Attacked implements AsyncDisposable {
  readonly ready: Ready;
  /** Lines of its log that are no JSON object, or show what an input held. */
  readonly badLines: string[] = [];
  lines = 0;
  stderr = '';
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, ready: Ready) {
    this.#child = child;
    this.ready = ready;
    createInterface({ input: child.stdout! }).on('line', (line) => this.#look(line));
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.stderr = (this.stderr + text).slice(-10_000)));
  }

  static async start(servers: string): Promise<Attacked> {
    const args = ['--conditions=@perkey/source', '--expose-gc', join(import.meta.dirname, 'target.ts'), servers];
    const child = spawn(join(root, 'node_modules/.bin/node'), args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    const { ready } = await told(child, ({ ready: is }) => is !== undefined);
    return new Attacked(child, ready as Ready);
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async health(): Promise<Health> {
    this.#child.send('health');
    return (await told(this.#child, ({ health }) => health !== undefined)).health as Health;
  }

  async badFrames(): Promise<number> {
    this.#child.send('count');
    return (await told(this.#child, ({ count }) => count !== undefined)).count as number;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.running) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }

  #look(line: string): void {
    this.lines += 1;
    const isWhole = line.startsWith('{') && line.endsWith('}') && isJson(line);
    if ((!isWhole || line.includes(marker) || /[\p{Cc}\p{Zl}\p{Zp}]/u.test(line)) && this.badLines.length < 20) {
      this.badLines.push(line.slice(0, 500));
    }
  }
}

function isJson(line: string): boolean {
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}

/** Rejects when the process ends first. */
function told(child: ChildProcess, wanted: (message: Told) => boolean): Promise<Told> {
  return new Promise((resolve, reject) => {
    const onEnd = (): void => done(() => reject(new Error('the attacked process ended')));
    const onMessage = (message: Told): void => {
      if (wanted(message)) done(() => resolve(message));
    };
    const done = (settle: () => void): void => {
      child.off('message', onMessage);
      child.off('exit', onEnd);
      settle();
    };
    child.on('message', onMessage);
    child.once('exit', onEnd);
    if (child.exitCode !== null || child.signalCode !== null) onEnd();
  });
}
