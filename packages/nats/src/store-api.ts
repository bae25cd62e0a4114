import { PerkeyError } from '@perkey/core';
import { headers as newHeaders } from '@nats-io/transport-node';
import type { Msg } from '@nats-io/transport-node';
import type { LiveConnection } from './connection.ts';

/** Error numbers of JetStream that mean something to us; all others are "unavailable". */
export const jsErrors = {
  noMessageFound: 10_037,
  sequenceNotFound: 10_043,
  messageDeleteFailed: 10_057,
  streamNotFound: 10_059,
  wrongLastSequence: 10_071,
  wrongLastSequenceInFlight: 10_164,
  copiesNeedCluster: 10_074,
  notEnabled: 10_076,
  notEnabledForAccount: 10_039,
} as const;

export interface JsFault {
  readonly code: number;
  readonly err_code?: number;
  readonly description?: string;
}

export type JsReply = { readonly error?: JsFault } & Readonly<Record<string, unknown>>;

export function unavailable(why: string, cause?: unknown): PerkeyError {
  return new PerkeyError('store.unavailable', `the record store did not answer: ${why}`, cause === undefined ? {} : { cause });
}

export function faultText(fault: JsFault): string {
  return `${fault.description ?? 'error'} (${fault.err_code ?? fault.code})`;
}

/** Requests to JetStream on whatever connection is live. */
export class StoreApi {
  readonly timeoutMs: number;
  #live: LiveConnection | undefined;

  constructor(timeoutMs: number) {
    this.timeoutMs = timeoutMs;
  }

  get live(): LiveConnection | undefined {
    return this.#live;
  }

  set live(live: LiveConnection | undefined) {
    this.#live = live;
  }

  /**
   * The server's answer, which may hold an error. Rejects with `store.unavailable` where there is none: no connection, no answer in time, or
   * 503, which the client library reports as "JetStream is not enabled" and which also means "no leader" (H16). Rejects with
   * `transport.refused` where the server does not allow the request.
   */
  async request(subject: string, body: string, headers?: Readonly<Record<string, string>>): Promise<JsReply> {
    const live = this.#live;
    if (live === undefined) throw unavailable('not connected to NATS');
    const marks = headers === undefined ? undefined : newHeaders();
    for (const [name, value] of Object.entries(headers ?? {})) marks?.set(name, value);
    let answer: Msg;
    try {
      answer = await live.nats.request(subject, body, { timeout: this.timeoutMs, ...(marks === undefined ? {} : { headers: marks }) });
    } catch (error) {
      throw requestFault(error);
    }
    return parseReply(answer);
  }
}

export function requestFault(error: unknown): PerkeyError {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if (at.name === 'PermissionViolationError') {
      return new PerkeyError('transport.refused', `NATS does not allow a request of the control connection: ${at.message}`, {
        cause: error,
      });
    }
    if (at.name === 'NoResponders') return unavailable('nobody in JetStream took the request (no leader?)', error);
    if (at.name === 'TimeoutError') return unavailable('no answer in time', error);
  }
  return unavailable(error instanceof Error ? error.message : String(error), error);
}

export function parseReply(answer: Msg): JsReply {
  let parsed: unknown;
  try {
    parsed = JSON.parse(answer.string());
  } catch (error) {
    throw unavailable('its answer is not JSON', error);
  }
  if (typeof parsed !== 'object' || parsed === null) throw unavailable('its answer is not an object');
  return parsed as JsReply;
}
