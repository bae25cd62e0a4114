import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import type { Socket } from 'node:net';

/**
 * A watcher is forked and then the shell becomes the program, so `$$` is the program's process id. The watcher reads a pipe whose other end
 * only this process holds: a line says that the program has ended, the end of the pipe that this process has, in whatever way.
 */
const guardScript = `
( read -r line <&3 || { kill -KILL $$; [ -z "$1" ] || rm -rf -- "$1" || rm -rf -- "$1"; } ) >/dev/null 2>&1 </dev/null &
shift
exec "$@" 3<&-
`;

export interface GuardedChildOptions {
  readonly program: string;
  readonly args: readonly string[];
  /** Output and errors are appended here. A file, since a pipe would block the child while this process is stalled. */
  readonly logFile: string;
  /** A folder that is removed if this process ends before the child. */
  readonly ownedDir: string | undefined;
}

export interface ChildExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/**
 * A child process that does not outlive this one, also when this one is killed with SIGKILL. It has a process group of its own, so that a
 * terminal's Ctrl-C does not reach it, and it does not keep this process alive.
 */
export class GuardedChild {
  readonly #child: ChildProcess;
  readonly #ended: Promise<ChildExit>;
  #exit: ChildExit | undefined;

  constructor(options: GuardedChildOptions) {
    const log = openSync(options.logFile, 'a', 0o600);
    try {
      const args = ['-c', guardScript, 'guard', options.ownedDir ?? '', options.program, ...options.args];
      this.#child = spawn('/bin/sh', args, { detached: true, stdio: ['ignore', log, log, 'pipe'] });
    } finally {
      closeSync(log);
    }
    const guard = this.#child.stdio[3] as Socket;
    guard.on('error', () => undefined);
    guard.unref();
    this.#child.unref();
    this.#ended = this.#watch(guard);
  }

  /** The process id of the program; 0 when it could not be started. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** How it ended; undefined while it runs. */
  get exit(): ChildExit | undefined {
    return this.#exit;
  }

  /** Does nothing when the child has ended, whose id may by then be another's. */
  signal(signal: NodeJS.Signals): void {
    if (this.#exit === undefined) this.#child.kill(signal);
  }

  /** Resolves once the child has ended. Keeps this process alive meanwhile. */
  async ended(): Promise<ChildExit> {
    this.#child.ref();
    return this.#ended;
  }

  async #watch(guard: Socket): Promise<ChildExit> {
    try {
      const [code, signal] = (await once(this.#child, 'exit')) as [number | null, NodeJS.Signals | null];
      this.#exit = { code, signal };
    } catch {
      this.#exit = { code: 127, signal: null };
    }
    guard.end('ended\n');
    return this.#exit;
  }
}
