import type { Supervisor } from '@perkey/nats';
import { supervise } from '@perkey/nats';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { NodeMessage, NodeOrder, NodeProgramSettings, NodeStats } from './node-program.ts';
import { Waiting } from './waiting.ts';

const root = join(import.meta.dirname, '../../..');
const program = join(import.meta.dirname, 'node-program.ts');

/** Imported before the program of a node: takes a part of the protocol out of it. */
const mutations = join(import.meta.dirname, 'mutations.ts');

/** How the process of a node is started. */
export interface Launch {
  /** Stands before the command. */
  readonly prefix?: readonly string[];
  /** A part of the protocol that is taken out: `mutations.ts`. */
  readonly without?: string | undefined;
  /** Imported before the program. */
  readonly imports?: readonly string[];
}

export type NodeLogLine = NodeMessage & { readonly is: 'log' };

/** One process that runs one node. With a supervisor it is always the process that runs at the moment. */
export class NodeProcess implements AsyncDisposable {
  readonly settings: NodeProgramSettings;
  /** Every incarnation that the node has taken, the latest last. */
  readonly incarnations: string[] = [];
  readonly log: NodeLogLine[] = [];
  /** The `rid` of each turn that takes long, once it runs. */
  readonly started = new Set<string>();
  supervisor: Supervisor | undefined;
  failure: { readonly code: string; readonly message: string } | undefined;
  /** What it said of itself when it was last asked. */
  stats: NodeStats | undefined;
  readonly #launch: Launch;
  readonly #waiting = new Waiting();
  #child!: ChildProcess;
  #ready = false;

  private constructor(settings: NodeProgramSettings, launch: Launch) {
    this.settings = settings;
    this.#launch = launch;
  }

  /** Starts the process; does not wait for the node. */
  static spawn(settings: NodeProgramSettings, launch: Launch = {}): NodeProcess {
    const node = new NodeProcess(settings, launch);
    node.#spawn({});
    return node;
  }

  /** The same under a supervisor, which starts it again when it has ended. */
  static async supervised(settings: NodeProgramSettings, launch: Launch = {}): Promise<NodeProcess> {
    const node = new NodeProcess(settings, launch);
    const start = (): ChildProcess => node.#spawn({ PERKEY_SUPERVISED: '1' });
    const { cluster, nodeId } = settings;
    node.supervisor = await supervise({ cluster, nodeId, nats: settings.nats, start });
    return node;
  }

  get nodeId(): string {
    return this.settings.nodeId;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** False once the process has ended. */
  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get incarnation(): string {
    return this.incarnations.at(-1) ?? '';
  }

  get isReady(): boolean {
    return this.#ready;
  }

  /** Resolves when the node has joined; rejects with what its process said before it ended. */
  async ready(limitMs: number = 20_000): Promise<this> {
    await this.until('it is ready', () => this.#ready || !this.running, limitMs);
    if (!this.#ready) throw new Error(`node ${this.nodeId} did not start: ${this.failure?.message ?? 'its process ended'}`);
    return this;
  }

  /** Waits for something that this process tells, or for its end. */
  until(what: string, holds: () => boolean, limitMs: number = 15_000): Promise<void> {
    return this.#waiting.until(`node ${this.nodeId}: ${what}`, holds, limitMs, () => this.log.slice(-5));
  }

  logged(part: string): readonly NodeLogLine[] {
    return this.log.filter(({ message }) => message.includes(part));
  }

  /** Callers inside the node ask it without any wire, so that nothing but its own lease keeps it from answering what it remembers. */
  readers(keys: readonly string[], everyMs: number): void {
    this.#order({ order: 'readers', keys, everyMs });
  }

  /** Rejects when the process does not answer in time. */
  async askStats(): Promise<NodeStats> {
    this.stats = undefined;
    this.#order({ order: 'stats' });
    await this.until('it tells its figures', () => this.stats !== undefined, 10_000);
    return this.stats!;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** SIGSTOP, and resolves when the process stands. */
  async freeze(): Promise<void> {
    this.signal('SIGSTOP');
    while (this.running && !(await isStopped(this.pid))) await delay(1);
  }

  thaw(): void {
    this.signal('SIGCONT');
  }

  /** SIGKILL, and resolves when the process is gone. A supervisor is ended too, and evicts it. */
  async kill(): Promise<void> {
    if (this.supervisor) {
      const stopped = this.supervisor.stop();
      this.signal('SIGKILL');
      await stopped;
    } else if (this.running) {
      const exited = once(this.#child, 'exit');
      this.signal('SIGKILL');
      await exited;
    }
  }

  /** SIGTERM, and resolves with the exit code. */
  async stop(): Promise<number | null> {
    const exited = once(this.#child, 'exit');
    if (this.supervisor) void this.supervisor.stop();
    else this.signal('SIGTERM');
    const [code] = (await exited) as [number | null];
    await this.supervisor?.ended;
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  #order(order: NodeOrder): void {
    this.#child.send(order, () => {});
  }

  #spawn(env: Readonly<Record<string, string>>): ChildProcess {
    const { prefix = [], without, imports = [] } = this.#launch;
    const before = [...imports, ...(without === undefined ? [] : [mutations])].flatMap((file) => ['--import', file]);
    const node = [join(root, 'node_modules/.bin/node'), '--conditions=@perkey/source', '--expose-gc', ...before];
    const [command, ...args] = [...prefix, ...node, program, JSON.stringify(this.settings)];
    const compileCache = { NODE_COMPILE_CACHE: join(root, '.cache/compile') };
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, ...compileCache, NATS_URL: '', PERKEY_WITHOUT: without, ...env },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#child = child;
    this.#ready = false;
    child.on('message', (message) => this.#take(message as NodeMessage));
    child.once('exit', () => this.#waiting.look());
    return child;
  }

  #take(message: NodeMessage): void {
    if (message.is === 'incarnation') this.incarnations.push(message.incarnation);
    else if (message.is === 'ready') this.#ready = true;
    else if (message.is === 'failed') this.failure = message;
    else if (message.is === 'started') this.started.add(message.rid);
    else if (message.is === 'stats') this.stats = message;
    else if (message.is === 'log') this.log.push(message);
    this.#waiting.look();
  }
}

/** Whether no thread of the process runs any more. */
async function isStopped(pid: number): Promise<boolean> {
  const tasks = await readdir(`/proc/${pid}/task`).catch(() => []);
  const stats = await Promise.all(tasks.map((task) => readFile(`/proc/${pid}/task/${task}/stat`, 'utf8').catch(() => '')));
  return stats.every((stat) => stat === '' || / T \d/.test(stat.slice(stat.lastIndexOf(')'))));
}
