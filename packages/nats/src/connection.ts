import { PerkeyError, safeText } from '@perkey/core';
import type { LinkEnvironment, LogLimiter } from '@perkey/core';
import type { Msg, NatsConnection, Status, Subscription } from '@nats-io/transport-node';
import type { Socket } from 'node:net';
import { ConnectionReport } from './connection-report.ts';
import type { ConnectionKind } from './connection-report.ts';
import { dial, resetSocket, socketOf } from './dial.ts';
import type { Dial } from './dial.ts';
import type { ResolvedNats } from './options.ts';
import { PublishRefusals } from './publish-refusals.ts';
import { ReadingPace } from './reading-pace.ts';
import { ServerList } from './server-list.ts';
import { listen } from './subscription.ts';
import type { Guard, Wanted } from './subscription.ts';

/** From the second connection in a row that did not live so long on there is a pause before the next attempt. */
const steadyMs = 1_000;

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
  readonly refusals: PublishRefusals;
  readonly pace: ReadingPace<Msg>;
}

type Phase =
  | { readonly is: 'waiting'; readonly end: () => void }
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
  readonly kind: ConnectionKind;
  readonly #nats: ResolvedNats;
  readonly #environment: LinkEnvironment;
  readonly #owner: ConnectionOwner;
  readonly #servers: ServerList;
  readonly #name: string;
  readonly #report: ConnectionReport;
  #phase: Phase = { is: 'idle' };

  private constructor(kind: ConnectionKind, name: string, nats: ResolvedNats, environment: LinkEnvironment, owner: ConnectionOwner) {
    this.kind = kind;
    this.#name = name;
    this.#nats = nats;
    this.#environment = environment;
    this.#owner = owner;
    this.#servers = new ServerList(nats.servers, environment.random);
    this.#report = new ConnectionReport(kind, environment, nats.versionsNoted);
  }

  /** Resolves when the first connection is up. Rejects with `transport.connect_timeout`, `transport.refused`, or what `prepare` calls final. */
  static async open(
    kind: ConnectionKind,
    name: string,
    nats: ResolvedNats,
    environment: LinkEnvironment,
    owner: ConnectionOwner,
  ): Promise<ManagedConnection> {
    const connection = new ManagedConnection(kind, name, nats, environment, owner);
    await connection.#first();
    return connection;
  }

  get limiter(): LogLimiter {
    return this.#report.limiter;
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
    this.#report.closed();
    if (phase.is === 'waiting') phase.end();
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
      this.#report.callbackThrew(place, error);
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
    for (const one of wanted) {
      const handle = (message: Msg): void => this.guard(one.subject, () => one.onMessage(message));
      const onMessage = (message: Msg): void => live.pace.take(handle, message);
      live.subscriptions.push(listen(live.nats, this.guard, { ...one, onMessage, onRefused }));
    }
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
    await live.pace.idle();
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
    const reason = this.#report.lastFault;
    const message = `NATS at ${this.target} could not be reached within ${connectTimeoutMs} ms: ${reason}`;
    return new PerkeyError('transport.connect_timeout', message, { details: { servers: this.#servers.all, reason } });
  }

  async #keep(first: LiveConnection): Promise<void> {
    const { clock } = this.#environment;
    let shortLives = 0;
    let live: LiveConnection | undefined = first;
    while (live !== undefined) {
      const since = clock.now();
      await this.#untilLost(live);
      shortLives = clock.now() - since < steadyMs ? shortLives + 1 : 0;
      live = await this.#connect(false, shortLives > 1);
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
  async #connect(first: boolean, isShortLived = false): Promise<LiveConnection | undefined> {
    for (let hasFailed = false; ; hasFailed = true) {
      if (this.closed) return undefined;
      if (hasFailed || isShortLived) await this.#pause(hasFailed);
      if (this.closed) return undefined;
      const server = this.#servers.next();
      try {
        const live = await this.#dialOnce(server);
        if (live !== undefined) return live;
      } catch (error) {
        if (this.closed) return undefined;
        const final = this.#report.failed(server, error);
        if (first && final !== undefined) throw final;
      }
    }
  }

  async #dialOnce(server: string): Promise<LiveConnection | undefined> {
    this.#report.dialling();
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
    const pace = new ReadingPace<Msg>(this.#environment.clock, socket);
    const live = { nats, socket, subscriptions: [], refusals: new PublishRefusals(), pace };
    this.#phase = { is: 'live', live, lost: ignore };
    socket.prependOnceListener('close', () => this.#lose(live, 'the socket was closed'));
    void nats.closed().then(() => this.#lose(live, 'the connection was closed'));
    void this.#followStatus(live);
    try {
      await this.#owner.prepare(live, this);
    } catch (error) {
      if (this.#isLive(live)) this.#lose(live, `it could not be set up: ${safeText(error)}`);
      throw error;
    }
    if (!this.#isLive(live)) return undefined;
    this.#report.connected(nats, server);
    this.#owner.onUp(live);
    this.#nats.turns.go();
    return live;
  }

  #isLive(live: LiveConnection): boolean {
    return this.#phase.is === 'live' && this.#phase.live === live;
  }

  #lose(live: LiveConnection, reason: string): void {
    const phase = this.#phase;
    if (phase.is !== 'live' || phase.live !== live) return;
    this.#phase = { is: 'idle' };
    this.#servers.learn(live.nats.info?.connect_urls);
    resetSocket(live.socket);
    live.pace.drop();
    this.guard('onDown', () => this.#owner.onDown());
    void live.nats.close().catch(ignore);
    this.#report.lost(reason);
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
    else if (status.type === 'ldm') this.#report.serverLeaves();
    else if (status.type === 'error') {
      live.refusals.note(status.error);
      this.#report.serverError(status.error);
    }
  }

  /** That another connection gets through ends the pause only after a failed attempt: two that are closed again and again would hurry each other. */
  #pause(hasFailed: boolean): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#nats.turns.wait(this.#environment, hasFailed, resolve);
      const end = (): void => {
        timer.cancel();
        resolve();
      };
      this.#phase = { is: 'waiting', end };
    });
  }
}

function ignore(): void {}
