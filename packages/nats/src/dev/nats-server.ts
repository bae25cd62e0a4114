import { PerkeyError } from '@perkey/core';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { natsServerFromArchive } from './archive.ts';
import { findOnPath } from './find-on-path.ts';
import { GuardedChild } from './guarded-child.ts';
import { writeServerConfig, type NatsClusterOptions } from './server-config.ts';
import type { NatsServerInfo } from './server-info.ts';
import { endChild, isStopped, untilAnswer, type Answer } from './server-process.ts';

export interface NatsServerOptions {
  /** Path of the program. Default: `nats-server` on the PATH, else a private copy from the system's package archive. */
  readonly binary?: string | undefined;
  /** Port for clients. Default 0: a free one, chosen by the server itself. */
  readonly port?: number | undefined;
  /** Must be unique in a cluster. Default: random. */
  readonly name?: string | undefined;
  /** Default true. */
  readonly jetstream?: boolean | undefined;
  /** A folder for JetStream that is kept at `stop`. Default: a temporary one that is removed at `stop`. */
  readonly storeDir?: string | undefined;
  /** Text for the end of the server's configuration file: users, TLS, `max_payload`, `ping_interval` and so on. */
  readonly config?: string | undefined;
  readonly cluster?: NatsClusterOptions | undefined;
  /** How long a start may take, in milliseconds. Default 10,000. */
  readonly startTimeoutMs?: number | undefined;
}

interface Settings {
  readonly binary: string;
  readonly name: string;
  readonly workDir: string;
  readonly storeDir: string | undefined;
  readonly config: string;
  readonly cluster: NatsClusterOptions | undefined;
  readonly startTimeoutMs: number;
}

type State = { readonly kind: 'ended' } | { readonly kind: 'running'; readonly child: GuardedChild; readonly answer: Answer };

/** Time between two tries for a port that is taken, and how much of the log an error shows. */
const portRetryMs = 10;
const logTailBytes = 2_000;

/**
 * One nats-server process on 127.0.0.1, alive for as long as this process at most. Its methods are called one after the other, not at once.
 */
export class NatsServer implements AsyncDisposable {
  readonly #settings: Settings;
  #state: State = { kind: 'ended' };
  /** Kept over restarts; -1 until the first start. */
  #port: number;

  constructor(settings: Settings, port: number) {
    this.#settings = settings;
    this.#port = port === 0 ? -1 : port;
  }

  get name(): string {
    return this.#settings.name;
  }

  get binary(): string {
    return this.#settings.binary;
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.#port}`;
  }

  /** False once the process has ended, by whatever hand. True for a frozen one. */
  get running(): boolean {
    return this.#state.kind === 'running' && this.#state.child.exit === undefined;
  }

  /** Throws when the server does not run. */
  get pid(): number {
    return this.#alive().child.pid;
  }

  /** What the server said of itself at its last start; throws when it does not run. */
  get info(): NatsServerInfo {
    return this.#alive().answer.info;
  }

  /** Base address of the server's monitoring pages, another one after each start; throws when the server does not run. */
  get monitoringUrl(): string {
    return `http://127.0.0.1:${this.#alive().answer.monitoringPort}`;
  }

  /** The server's log so far, over all its starts. */
  log(): Promise<string> {
    return readFile(this.#logFile, 'utf8').catch(() => '');
  }

  /** Ends the process and waits until it is gone; `restart` may follow. SIGTERM is a graceful end, SIGKILL the default. */
  async kill(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    if (this.#state.kind === 'ended') return;
    await endChild(this.#state.child, signal);
    this.#state = { kind: 'ended' };
  }

  /** Stops the process in its tracks (SIGSTOP), and resolves when it stands: connections stay open, nothing is read or answered. */
  async freeze(): Promise<void> {
    const { child } = this.#alive();
    child.signal('SIGSTOP');
    while (child.exit === undefined && !(await isStopped(child.pid))) await delay(1);
  }

  /** Lets a frozen process go on (SIGCONT). */
  thaw(): void {
    this.#alive().child.signal('SIGCONT');
  }

  /** Starts the server again on the same port and store, after a graceful end if it still runs. Ready when it resolves. */
  async restart(): Promise<void> {
    await this.kill('SIGTERM');
    const deadline = performance.now() + this.#settings.startTimeoutMs;
    for (;;) {
      try {
        return await this.#launch(deadline);
      } catch (error) {
        if (!(error instanceof PortTaken) || performance.now() > deadline) throw startError(this.#settings.binary, error);
        await delay(portRetryMs);
      }
    }
  }

  /** The first start: a port that is taken is an error at once. */
  async start(): Promise<void> {
    try {
      await this.#launch(performance.now() + this.#settings.startTimeoutMs);
    } catch (error) {
      await this.stop();
      throw startError(this.#settings.binary, error);
    }
  }

  /** Ends the process gracefully and removes what was put on disk for it. May be called again. */
  async stop(): Promise<void> {
    await this.kill('SIGTERM');
    await rm(this.#settings.workDir, { recursive: true, force: true, maxRetries: 3 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  get #logFile(): string {
    return join(this.#settings.workDir, 'server.log');
  }

  #alive(): State & { kind: 'running' } {
    if (this.#state.kind === 'running' && this.#state.child.exit === undefined) return this.#state;
    throw new Error(`nats-server ${this.name} does not run`);
  }

  async #launch(deadline: number): Promise<void> {
    const { name, storeDir, cluster, config: extra, workDir, binary } = this.#settings;
    const portsDir = join(workDir, 'ports');
    const configFile = join(workDir, 'nats.conf');
    const logStart = (await this.log()).length;
    await writeServerConfig(configFile, { name, port: this.#port, portsDir, storeDir, cluster, extra });
    const child = new GuardedChild({ program: binary, args: ['-c', configFile], logFile: this.#logFile, ownedDir: workDir });
    try {
      const answer = await untilAnswer(child, portsDir, deadline);
      if (answer.info.serverName !== name) throw new Error(`another server (${answer.info.serverName}) answers on its port`);
      this.#port = answer.port;
      this.#state = { kind: 'running', child, answer };
    } catch (error) {
      await endChild(child, 'SIGKILL');
      const log = (await this.log()).slice(logStart);
      const taken = log.match(/:(\d+): bind: address already in use/)?.[1];
      if (taken !== undefined) throw new PortTaken(`port ${taken} is taken`, { cause: error });
      throw new Error(`${(error as Error).message}; its log ends with:\n${log.slice(-logTailBytes)}`, { cause: error });
    }
  }
}

class PortTaken extends Error {}

function startError(binary: string, cause: unknown): PerkeyError {
  return new PerkeyError('nats_server.not_found', `${binary} did not start: ${cause instanceof Error ? cause.message : String(cause)}`, {
    cause,
  });
}

/** Starts a server; it answers when the promise resolves. Rejects with `nats_server.not_found` and the end of its log when it does not start. */
export async function startNatsServer(options: NatsServerOptions = {}): Promise<NatsServer> {
  const binary = options.binary ?? (await findOnPath('nats-server', process.env)) ?? (await natsServerFromArchive());
  const workDir = await mkdtemp(join(tmpdir(), 'perkey-nats-'));
  const settings: Settings = {
    binary,
    name: options.name ?? `perkey-${randomBytes(6).toString('hex')}`,
    workDir,
    storeDir: options.jetstream === false ? undefined : (options.storeDir ?? join(workDir, 'jetstream')),
    config: options.config ?? '',
    cluster: options.cluster,
    startTimeoutMs: options.startTimeoutMs ?? 10_000,
  };
  const server = new NatsServer(settings, options.port ?? 0);
  await server.start();
  return server;
}
