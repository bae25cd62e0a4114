import { LogLimiter, PerkeyError } from '@perkey/core';
import type { Counter, Gauge, LinkEnvironment, Timer } from '@perkey/core';
import type { NatsConnection, Status, Subscription } from '@nats-io/transport-node';
import type { Socket } from 'node:net';
import { dialFault } from './dial-error.ts';
import { dial, resetSocket, socketOf } from './dial.ts';
import type { Dial } from './dial.ts';
import type { ResolvedNats } from './options.ts';
import { ServerList } from './server-list.ts';
import { productionFloorNote } from './server-version.ts';
import { listen } from './subscription.ts';
import type { Guard, Wanted } from './subscription.ts';

/** Between two attempts: at least `least`, doubling up to `most`, with up to a half taken off by chance. Below 10 attempts a second. */
const backOffMs = { least: 150, most: 600 };
const sayEveryMs = 3_000;

export interface ConnectionOwner {
  /** Sets up a new connection before it counts as up; what it rejects with is told like a failed attempt. Not called after `close`. */
  prepare(live: LiveConnection, connection: ManagedConnection): Promise<void>;
  /** The connection is prepared. */
  onUp(live: LiveConnection): void;
  /** Called once for each `prepare`, synchronously with the loss, whether or not `onUp` came. Not called for `close`. */
  onDown(): void;
}

/** One connection while it lives. */
export interface LiveConnection {
  readonly nats: NatsConnection;
  readonly socket: Socket;
  readonly subscriptions: Subscription[];
}

type Phase =
  | { readonly is: 'waiting'; readonly timer: Timer; readonly go: () => void }
  | { readonly is: 'dialling'; readonly attempt: Dial }
  | { readonly is: 'live'; readonly live: LiveConnection; readonly lost: () => void }
  | { readonly is: 'idle' }
  | { readonly is: 'closed' };

/**
 * One connection to NATS that redials by itself. The library's own redial is off: it discards without a word what is published while it
 * dials, and delivers late what was published before (H4). Here nothing is written while the connection is down, and a connection that was
 * lost is reset, not closed.
 */
export class ManagedConnection {
  readonly kind: 'data' | 'control';
  readonly limiter: LogLimiter;
  readonly #nats: ResolvedNats;
  readonly #environment: LinkEnvironment;
  readonly #owner: ConnectionOwner;
  readonly #servers: ServerList;
  readonly #name: string;
  readonly #metrics: ConnectionMetrics;
  #phase: Phase = { is: 'idle' };
  #attempts = 0;
  #lastFault = 'no answer';
  #lastSaid: number;

  private constructor(kind: 'data' | 'control', name: string, nats: ResolvedNats, environment: LinkEnvironment, owner: ConnectionOwner) {
    this.kind = kind;
    this.#name = name;
    this.#nats = nats;
    this.#environment = environment;
    this.#owner = owner;
    this.#servers = new ServerList(nats.servers, environment.random);
    this.limiter = new LogLimiter(environment.clock);
    this.#metrics = connectionMetrics(kind, environment);
    this.#lastSaid = environment.clock.now();
  }

  /** Resolves when the first connection is up. Rejects with `transport.connect_timeout`, `transport.refused`, or what `prepare` calls final. */
  static async open(
    kind: 'data' | 'control',
    name: string,
    nats: ResolvedNats,
    environment: LinkEnvironment,
    owner: ConnectionOwner,
  ): Promise<ManagedConnection> {
    const connection = new ManagedConnection(kind, name, nats, environment, owner);
    await connection.#first();
    return connection;
  }

  get environment(): LinkEnvironment {
    return this.#environment;
  }

  get closed(): boolean {
    return this.#phase.is === 'closed';
  }

  /** `host:port` of the servers tried, for messages. */
  get target(): string {
    return this.#servers.all.join(', ');
  }

  /** Drops the connection at once; the redial starts at once. */
  reset(reason: string): void {
    if (this.#phase.is === 'live') this.#lose(this.#phase.live, reason);
  }

  /** Ends everything without a flush. Idempotent. */
  close(): void {
    const phase = this.#phase;
    this.#phase = { is: 'closed' };
    this.#metrics.up.set(0);
    if (phase.is === 'waiting') phase.go();
    if (phase.is === 'dialling') phase.attempt.abort();
    if (phase.is === 'live') {
      void phase.live.nats.close().catch(ignore);
      phase.lost();
    }
  }

  /**
   * Runs what a subscription's callback does. The library never reads on after a throw (H14), so nothing is let through:
   * a throw is counted and logged.
   */
  readonly guard: Guard = (place, run) => {
    try {
      run();
    } catch (error) {
      this.#metrics.callbackErrors.inc();
      const leftOut = this.limiter.allow(`callback ${place}`);
      if (leftOut !== undefined) this.#environment.log.error({ err: error, place, leftOut }, 'a callback of the NATS link threw');
    }
  };

  /**
   * Subscribes with guarded callbacks and waits until the server has taken it. Rejects with `transport.refused` where it does not allow one,
   * `link.lost` where the connection breaks.
   */
  async listen(live: LiveConnection, wanted: readonly Wanted[]): Promise<void> {
    let refusal: Error | undefined;
    const onRefused = (error: Error): void => {
      refusal ??= error;
    };
    for (const one of wanted) live.subscriptions.push(listen(live.nats, this.guard, { ...one, onRefused }));
    await this.flush(live);
    if (refusal !== undefined) {
      throw new PerkeyError('transport.refused', `NATS does not allow this ${this.kind} connection to subscribe: ${refusal.message}`, {
        cause: refusal,
      });
    }
  }

  /**
   * Ends the subscriptions but the first `keep`: what the server had already sent for them is still delivered. Resolves when that is done and
   * the server has read all that was published. Rejects with `link.lost`.
   */
  async quiesce(live: LiveConnection, keep = 0): Promise<void> {
    for (const subscription of live.subscriptions.splice(keep)) subscription.drain().catch(ignore);
    await this.flush(live);
  }

  /** Waits until the server has read all that was published. Rejects with `link.lost`. */
  flush(live: LiveConnection): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (cause?: unknown): void => reject(new PerkeyError('link.lost', 'the connection to NATS was lost', { cause }));
      const timer = this.#environment.clock.setTimer(this.#nats.limits.dialTimeoutMs, () => fail());
      void live.nats.closed().then(() => fail());
      live.nats
        .flush()
        .then(resolve, fail)
        .finally(() => timer.cancel());
    });
  }

  async #first(): Promise<void> {
    const { clock, connectTimeoutMs } = this.#environment;
    let expired = false;
    const timer = clock.setTimer(connectTimeoutMs, () => {
      expired = true;
      this.close();
    });
    try {
      const live = await this.#connect(true);
      if (live === undefined) throw this.#neverConnected(expired, connectTimeoutMs);
      void this.#keep(live);
    } catch (error) {
      this.close();
      throw error;
    } finally {
      timer.cancel();
    }
  }

  #neverConnected(expired: boolean, connectTimeoutMs: number): PerkeyError {
    if (!expired) return new PerkeyError('client.closed', 'the link was closed before it connected');
    const message = `NATS at ${this.target} could not be reached within ${connectTimeoutMs} ms: ${this.#lastFault}`;
    return new PerkeyError('transport.connect_timeout', message, { details: { servers: this.#servers.all, reason: this.#lastFault } });
  }

  async #keep(first: LiveConnection): Promise<void> {
    let live: LiveConnection | undefined = first;
    while (live !== undefined) {
      await this.#untilLost(live);
      live = await this.#connect(false);
    }
  }

  #untilLost(live: LiveConnection): Promise<void> {
    const phase = this.#phase;
    if (phase.is !== 'live' || phase.live !== live) return Promise.resolve();
    return new Promise((resolve) => {
      this.#phase = { ...phase, lost: resolve };
    });
  }

  /** Dials until a connection is prepared; `undefined` when closed meanwhile. Throws only with `first`, and only what is final. */
  async #connect(first: boolean): Promise<LiveConnection | undefined> {
    for (let failures = 0; ; failures += 1) {
      if (failures > 0) await this.#pause(failures);
      if (this.closed) return undefined;
      const server = this.#servers.next();
      try {
        const live = await this.#dialOnce(server);
        if (live !== undefined) return live;
      } catch (error) {
        if (this.closed) return undefined;
        this.#metrics.dialErrors.inc();
        const final = this.#noteFault(server, error);
        if (first && final !== undefined) throw final;
      }
    }
  }

  async #dialOnce(server: string): Promise<LiveConnection | undefined> {
    this.#attempts += 1;
    const attempt = dial(server, this.#nats, this.#name);
    this.#phase = { is: 'dialling', attempt };
    const timer = this.#environment.clock.setTimer(this.#nats.limits.dialTimeoutMs, () => attempt.abort());
    let nats: NatsConnection;
    try {
      nats = await attempt.connected;
    } catch (error) {
      attempt.abort();
      throw error;
    } finally {
      timer.cancel();
    }
    if (this.closed) {
      void nats.close().catch(ignore);
      return undefined;
    }
    return this.#adopt(nats, server);
  }

  async #adopt(nats: NatsConnection, server: string): Promise<LiveConnection | undefined> {
    const socket = socketOf(nats);
    if (socket === undefined) {
      void nats.close().catch(ignore);
      throw new PerkeyError(
        'transport.refused',
        'this version of @nats-io/transport-node does not show its socket, so a lost connection could not be reset',
      );
    }
    const live = { nats, socket, subscriptions: [] };
    this.#phase = { is: 'live', live, lost: ignore };
    socket.prependOnceListener('close', () => this.#lose(live, 'the socket was closed'));
    void nats.closed().then(() => this.#lose(live, 'the connection was closed'));
    void this.#followStatus(live);
    this.#servers.learn(nats.info?.connect_urls);
    try {
      await this.#owner.prepare(live, this);
    } catch (error) {
      if (this.#isLive(live)) this.#lose(live, 'it could not be set up');
      throw error;
    }
    if (!this.#isLive(live)) return undefined;
    this.#sayConnected(nats, server);
    this.#owner.onUp(live);
    return live;
  }

  #isLive(live: LiveConnection): boolean {
    return this.#phase.is === 'live' && this.#phase.live === live;
  }

  #lose(live: LiveConnection, reason: string): void {
    const phase = this.#phase;
    if (phase.is !== 'live' || phase.live !== live) return;
    this.#phase = { is: 'idle' };
    this.#metrics.up.set(0);
    this.#metrics.lost.inc();
    this.#lastFault = reason;
    this.#lastSaid = this.#environment.clock.now();
    resetSocket(live.socket);
    this.guard('onDown', () => this.#owner.onDown());
    void live.nats.close().catch(ignore);
    this.#environment.log.warn({ link: this.kind, reason }, 'the connection to NATS was lost; redialling');
    phase.lost();
  }

  async #followStatus(live: LiveConnection): Promise<void> {
    try {
      for await (const status of live.nats.status()) this.#onStatus(live, status);
    } catch {
      // The status iterator ends with the connection.
    }
  }

  #onStatus(live: LiveConnection, status: Status): void {
    if (status.type === 'staleConnection') this.#lose(live, 'the server did not answer the pings');
    else if (status.type === 'disconnect' || status.type === 'close') this.#lose(live, 'the connection was closed');
    else if (status.type === 'ldm') this.#environment.log.info({ link: this.kind }, 'the NATS server is about to shut down');
    else if (status.type === 'error') this.#onServerError(status.error);
  }

  #onServerError(error: Error): void {
    const refused = error.name === 'PermissionViolationError';
    (refused ? this.#metrics.refusals : this.#metrics.serverErrors).inc();
    const leftOut = this.limiter.allow(refused ? 'permission' : 'server error');
    if (leftOut === undefined) return;
    this.#environment.log.error(
      { link: this.kind, reason: error.message, leftOut },
      refused ? 'NATS refused an operation' : 'NATS reported an error',
    );
  }

  #pause(failures: number): Promise<void> {
    const { clock, random } = this.#environment;
    const full = Math.min(backOffMs.most, backOffMs.least * 2 ** Math.min(failures - 1, 8));
    const delay = full * (1 - random.next() / 2);
    return new Promise((resolve) => {
      this.#phase = { is: 'waiting', timer: clock.setTimer(delay, () => resolve()), go: () => resolve() };
    });
  }

  /** Says from time to time what is tried; returns the error to give up with, where trying on is pointless. */
  #noteFault(server: string, error: unknown): PerkeyError | undefined {
    const own = error instanceof PerkeyError ? error : undefined;
    const fault = own === undefined ? dialFault(error) : { reason: own.message, refused: own.code.startsWith('transport.') };
    this.#lastFault = fault.reason;
    const now = this.#environment.clock.now();
    if (now - this.#lastSaid >= sayEveryMs) {
      this.#lastSaid = now;
      const fields = { link: this.kind, server, attempts: this.#attempts, reason: fault.reason };
      this.#environment.log.warn(fields, 'NATS is not reachable yet; still trying');
    }
    if (!fault.refused) return undefined;
    return (
      own ??
      new PerkeyError('transport.refused', `NATS at ${server} refused the connection: ${fault.reason}`, {
        cause: error,
        details: { server },
      })
    );
  }

  #sayConnected(nats: NatsConnection, server: string): void {
    const { log } = this.#environment;
    const version = nats.info?.version ?? 'unknown';
    this.#metrics.up.set(1);
    log.info({ link: this.kind, server, version, jetstream: nats.info?.jetstream === true, attempts: this.#attempts }, 'connected to NATS');
    const note = productionFloorNote(version);
    if (note !== undefined && this.limiter.allow('version') === 0) log.info({ version }, note);
    this.#attempts = 0;
  }
}

interface ConnectionMetrics {
  readonly up: Gauge;
  readonly lost: Counter;
  readonly dialErrors: Counter;
  readonly callbackErrors: Counter;
  readonly refusals: Counter;
  readonly serverErrors: Counter;
}

function connectionMetrics(kind: 'data' | 'control', { metrics }: LinkEnvironment): ConnectionMetrics {
  const labels = { link: kind };
  return {
    up: metrics.gauge('perkey_nats_up', 'Whether the connection to NATS is up.', labels),
    lost: metrics.counter('perkey_nats_connections_lost_total', 'Connections to NATS that were lost.', labels),
    dialErrors: metrics.counter('perkey_nats_dial_errors_total', 'Attempts to connect to NATS that failed.', labels),
    callbackErrors: metrics.counter('perkey_nats_callback_errors_total', 'Callbacks of the NATS link that threw.', labels),
    refusals: metrics.counter('perkey_nats_permission_errors_total', 'Operations that NATS refused for lack of permission.', labels),
    serverErrors: metrics.counter('perkey_nats_server_errors_total', 'Other errors that NATS reported.', labels),
  };
}

function ignore(): void {}
