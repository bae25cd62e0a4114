import { LogLimiter, PerkeyError, safeText } from '@perkey/core';
import type { StoreEnvironment, Timer } from '@perkey/core';
import type { LiveConnection, ManagedConnection } from '../connection.ts';
import { StoreApi, unavailable } from '../store-api.ts';
import type { StoreLink } from './store-link.ts';
import type { StoreNames } from './store-names.ts';
import { ensureStream, findStream, wantedStreams } from './store-streams.ts';
import type { WantedStream } from './store-streams.ts';

const lookAgainMs = 250;

export interface GateLimits {
  readonly replicas: number;
  readonly streamBytesMax: number;
  readonly storeTimeoutMs: number;
  readonly inboxPrefix: string;
}

/**
 * Whether the store may be used now: the connection is up, and the streams are those that were there when it was opened. They are looked at
 * after each reconnect, and when a server says that one is missing.
 * Invariant: a log that was removed, or removed and made anew, takes no append of this object any more: what it acknowledged is gone, and
 * nobody but an operator can say whether that is all right.
 */
export class StoreGate implements StoreLink {
  readonly environment: StoreEnvironment;
  readonly api: StoreApi;
  readonly inboxPrefix: string;
  readonly limiter: LogLimiter;
  readonly #limits: GateLimits;
  readonly #wanted: readonly WantedStream[];
  /** When each stream was created. */
  readonly #created = new Map<string, string>();
  readonly #observers = new Set<(reason: string) => void>();
  #waiting: (() => void)[] = [];
  #connection: ManagedConnection | undefined;
  #live: LiveConnection | undefined;
  #ready = false;
  #opened = false;
  #shut = false;
  #closed = false;
  #looking: Timer | undefined;
  #gone: string | undefined;
  #replicas = 1;
  #version = '0.0.0';
  #pullsEarly = false;

  constructor(environment: StoreEnvironment, names: StoreNames, limits: GateLimits) {
    this.environment = environment;
    this.inboxPrefix = limits.inboxPrefix;
    this.api = new StoreApi(limits.storeTimeoutMs);
    this.limiter = new LogLimiter(environment.clock);
    this.#limits = limits;
    this.#wanted = wantedStreams(names, limits.streamBytesMax === 0 ? -1 : limits.streamBytesMax);
  }

  /** Of the server that is or was connected last. */
  get version(): string {
    return this.#version;
  }

  /** Copies of the events. */
  get replicas(): number {
    return this.#replicas;
  }

  get pullsEarly(): boolean {
    return this.#pullsEarly;
  }

  onEarlyPullLost(): void {
    this.#pullsEarly = false;
  }

  get closed(): boolean {
    return this.#shut;
  }

  /** Why nothing may be appended; `undefined` where it may. */
  get refusal(): string | undefined {
    if (this.#ready && !this.#shut) return undefined;
    if (this.#shut) return 'the store was closed';
    if (this.#gone !== undefined) return this.#gone;
    return this.#live === undefined ? 'not connected to NATS; nothing was sent' : 'NATS has no leader for the log yet; nothing was sent';
  }

  readonly guard = (place: string, run: () => void): void => this.#connection?.guard(place, run);

  serverAtLeast(major: number, minor: number): boolean {
    const [ofMajor = 0, ofMinor = 0] = this.#version.split('.').map(Number);
    return ofMajor > major || (ofMajor === major && ofMinor >= minor);
  }

  /** A new connection; the first one makes the streams. */
  async prepare(live: LiveConnection, connection: ManagedConnection): Promise<void> {
    this.#connection = connection;
    this.#version = live.nats.info?.version ?? '0.0.0';
    // A server alone makes the consumer in the step in which it reads the request.
    this.#pullsEarly = live.nats.info?.cluster === undefined;
    this.api.live = live;
    if (this.#opened) return;
    for (const wanted of this.#wanted) await this.#ensure(wanted, live);
  }

  up(live: LiveConnection): void {
    this.#live = live;
    if (this.#opened) {
      this.#look(live, 0);
      return;
    }
    this.#opened = true;
    this.#open();
    const { log } = this.environment;
    const filters = this.serverAtLeast(2, 10) ? 'server' : 'client';
    log.info(
      { version: this.#version, replicas: this.#replicas, filterOfSeveralTypes: filters, reads: 'leader and pull consumers' },
      'the store in JetStream is open',
    );
  }

  down(reason: string): void {
    this.#live = undefined;
    this.api.live = undefined;
    this.#ready = false;
    this.#looking?.cancel();
    this.#looking = undefined;
    const observers = [...this.#observers];
    this.#observers.clear();
    for (const tell of observers) this.guard('onLost', () => tell(reason));
  }

  /** Nothing new is taken; what is under way goes on. */
  shut(): void {
    this.#shut = true;
    this.#wakeAll();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.down('the store was closed');
    this.#connection?.close();
  }

  async ready(): Promise<LiveConnection> {
    if (!this.#ready && !this.#shut && this.#gone === undefined) await this.#untilReady();
    const live = this.#live;
    if (this.#shut) throw unavailable('it was closed');
    if (this.#gone !== undefined) throw unavailable(this.#gone);
    if (!this.#ready || live === undefined) throw unavailable('not connected to NATS, or no leader');
    return live;
  }

  onLost(tell: (reason: string) => void): () => void {
    if (this.#closed) tell('the store was closed');
    else this.#observers.add(tell);
    return () => this.#observers.delete(tell);
  }

  onMissing(): void {
    const live = this.#live;
    if (live === undefined || this.#looking !== undefined) return;
    this.#ready = false;
    this.#look(live, 0);
  }

  #open(): void {
    this.#ready = true;
    this.#gone = undefined;
    this.#wakeAll();
  }

  #wakeAll(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  async #untilReady(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = this.environment.clock.setTimer(this.#limits.storeTimeoutMs, () => {
        this.#waiting = this.#waiting.filter((wake) => wake !== done);
        resolve();
      });
      const done = (): void => {
        timer.cancel();
        resolve();
      };
      this.#waiting.push(done);
    });
  }

  async #ensure(wanted: WantedStream, live: LiveConnection): Promise<void> {
    const { log } = this.environment;
    let found;
    try {
      found = await ensureStream(this.api, wanted, this.#limits.replicas, log);
    } catch (error) {
      // Without JetStream nobody listens to its API at all; with it, silence means that it has no leader yet.
      const silent = error instanceof PerkeyError && error.code === 'store.unavailable' && live.nats.info?.jetstream !== true;
      if (!silent) throw error;
      const text = `NATS at ${this.#connection?.target ?? 'the server'} runs without JetStream; start it with the flag -js (or jetstream {} in its configuration)`;
      throw new PerkeyError('transport.no_jetstream', text, { cause: error });
    }
    this.#created.set(wanted.name, found.created);
    if (wanted === this.#wanted[0]) this.#replicas = found.replicas;
  }

  #look(live: LiveConnection, delayMs: number): void {
    const timer = this.environment.clock.setTimer(delayMs, () => void this.#lookNow(live, timer));
    this.#looking = timer;
  }

  async #lookNow(live: LiveConnection, timer: Timer): Promise<void> {
    let again = false;
    let gone: string | undefined;
    try {
      for (const wanted of this.#wanted) gone ??= await this.#missing(wanted, live);
    } catch (error) {
      this.environment.log.debug({ reason: safeText(error) }, 'the streams of the store could not be looked at yet');
      again = true;
    }
    if (this.#looking !== timer || this.#live !== live) return;
    this.#looking = undefined;
    if (gone === undefined && !again) return this.#open();
    if (gone !== undefined) this.#tellGone(gone);
    this.#look(live, lookAgainMs);
  }

  async #missing(wanted: WantedStream, live: LiveConnection): Promise<string | undefined> {
    const found = await findStream(this.api, wanted.name);
    if (found !== undefined && wanted === this.#wanted[0]) this.#replicas = Number(found.config['num_replicas'] ?? 1);
    if (found?.created === this.#created.get(wanted.name)) return undefined;
    if (!wanted.truth) {
      await this.#ensure(wanted, live);
      return undefined;
    }
    const what = found === undefined ? 'was removed' : 'was removed and made anew';
    return `the stream ${wanted.name} ${what} while this node ran; restore it from a backup, or start the nodes again to go on without what it held`;
  }

  #tellGone(text: string): void {
    if (this.#gone !== text) this.environment.log.error({}, text);
    this.#gone = text;
    this.#wakeAll();
  }
}
