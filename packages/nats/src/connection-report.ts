import { LogLimiter, PerkeyError } from '@perkey/core';
import type { Counter, Gauge, LinkEnvironment } from '@perkey/core';
import type { NatsConnection } from '@nats-io/transport-node';
import { dialFault } from './dial-error.ts';
import { productionFloorNote } from './server-version.ts';

const sayEveryMs = 3_000;

export type ConnectionKind = 'data' | 'control' | 'store';

/** What is logged and counted of one connection. Nothing here ever sees a credential. */
export class ConnectionReport {
  readonly limiter: LogLimiter;
  readonly #kind: ConnectionKind;
  readonly #environment: LinkEnvironment;
  readonly #metrics: ConnectionMetrics;
  #attempts = 0;
  #lastFault = 'no answer';
  #lastSaid: number;
  readonly #versionsNoted: Set<string>;

  constructor(kind: ConnectionKind, environment: LinkEnvironment, versionsNoted: Set<string>) {
    this.#kind = kind;
    this.#versionsNoted = versionsNoted;
    this.#environment = environment;
    this.limiter = new LogLimiter(environment.clock);
    this.#metrics = connectionMetrics(kind, environment);
    this.#lastSaid = environment.clock.now();
  }

  /** Why it is not connected, as of the last attempt. */
  get lastFault(): string {
    return this.#lastFault;
  }

  dialling(): void {
    this.#attempts += 1;
  }

  /** Says from time to time what is tried; returns the error to give up with, where trying on is pointless. */
  failed(server: string, error: unknown): PerkeyError | undefined {
    this.#metrics.dialErrors.inc();
    const own = error instanceof PerkeyError ? error : undefined;
    const fault = own === undefined ? dialFault(error) : { reason: own.message, refused: own.code.startsWith('transport.') };
    this.#lastFault = fault.reason;
    const { clock, log } = this.#environment;
    if (clock.now() - this.#lastSaid >= sayEveryMs) {
      this.#lastSaid = clock.now();
      const fields = { link: this.#kind, server, attempts: this.#attempts, reason: fault.reason };
      log.warn(fields, 'NATS is not reachable yet; still trying');
    }
    if (!fault.refused) return undefined;
    const message = `NATS at ${server} refused the connection: ${fault.reason}`;
    return own ?? new PerkeyError('transport.refused', message, { cause: error, details: { server } });
  }

  connected(nats: NatsConnection, server: string): void {
    const { log } = this.#environment;
    const version = nats.info?.version ?? 'unknown';
    const fields = { link: this.#kind, server, version, jetstream: nats.info?.jetstream === true, attempts: this.#attempts };
    this.#metrics.up.set(1);
    this.#attempts = 0;
    log.info(fields, 'connected to NATS');
    const note = productionFloorNote(version);
    if (note === undefined || this.#versionsNoted.has(version)) return;
    this.#versionsNoted.add(version);
    log.warn({ version }, note);
  }

  lost(reason: string): void {
    this.#metrics.up.set(0);
    this.#metrics.lost.inc();
    this.#lastFault = reason;
    this.#lastSaid = this.#environment.clock.now();
    this.#environment.log.warn({ link: this.#kind, reason }, 'the connection to NATS was lost; redialling');
  }

  closed(): void {
    this.#metrics.up.set(0);
  }

  callbackThrew(place: string, error: unknown): void {
    this.#metrics.callbackErrors.inc();
    const leftOut = this.limiter.allow(`callback ${place}`);
    if (leftOut !== undefined) this.#environment.log.error({ err: error, place, leftOut }, 'a callback of the NATS link threw');
  }

  serverLeaves(): void {
    this.#environment.log.info({ link: this.#kind }, 'the NATS server is about to shut down');
  }

  serverError(error: Error): void {
    const refused = error.name === 'PermissionViolationError';
    (refused ? this.#metrics.refusals : this.#metrics.serverErrors).inc();
    const leftOut = this.limiter.allow(refused ? 'permission' : 'server error');
    if (leftOut === undefined) return;
    const fields = { link: this.#kind, reason: error.message, leftOut };
    this.#environment.log.error(fields, refused ? 'NATS refused an operation' : 'NATS reported an error');
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

function connectionMetrics(kind: ConnectionKind, { metrics }: LinkEnvironment): ConnectionMetrics {
  const labels = { link: kind };
  return {
    up: metrics.gauge('perkey_nats_up', 'Whether the connection to NATS is up.', labels),
    lost: metrics.counter('perkey_nats_connections_lost_total', 'Connections to NATS that were lost.', labels),
    dialErrors: metrics.counter('perkey_nats_dial_errors_total', 'Attempts to connect to NATS that failed.', labels),
    callbackErrors: metrics.counter(
      'perkey_transport_callback_errors_total',
      'Callbacks of a link that threw; each is a defect of the runtime.',
      labels,
    ),
    refusals: metrics.counter('perkey_nats_permission_errors_total', 'Operations that NATS refused for lack of permission.', labels),
    serverErrors: metrics.counter('perkey_nats_server_errors_total', 'Other errors that NATS reported.', labels),
  };
}
