import { PerkeyError, isErrorCode, safeText } from '@perkey/core';
import type { ErrorCode, ForeignCall } from '@perkey/core';
import { Match, headers } from '@nats-io/transport-node';
import type { Msg, MsgHdrs } from '@nats-io/transport-node';
import type { CallTarget } from './subjects.ts';

/**
 * A call in JSON, as any NATS client can make it with a request to `perkey.<cluster>.call.<type>.<method>`.
 * With the header `Perkey-Key` (percent-encoded UTF-8 where the key is not plain ASCII; a literal `%` is always `%25`) the body is the input;
 * without it the body is `{"key": "...", "input": ...}`. An empty body, or no `input`, is no input.
 * Headers: `Perkey-Timeout-Ms`, `Idempotency-Key`, `traceparent`, `tracestate`; all others are ignored.
 * The answer's body is the output in JSON. An error has the headers `Perkey-Error-Code`, `Perkey-Executed` (`no`, `yes`, `unknown`),
 * `Nats-Service-Error`, `Nats-Service-Error-Code`, and the body `{code, message, executed, details, retryAfterMs?}`.
 */
export function readJsonCall(message: Msg, target: CallTarget, bytesMax: number): ForeignCall {
  const { headers: given, data } = message;
  if (data.length > bytesMax) throw malformed('payload.too_large', `the body has ${data.length} bytes; the limit is ${bytesMax}`);
  const body = parseBody(data);
  const header = (name: string): string | undefined => given?.get(name, Match.IgnoreCase) || undefined;
  const { key, input } = keyAndInput(header('Perkey-Key'), body);
  return {
    ...target,
    key,
    input,
    headers: traceHeaders(header),
    timeoutMs: timeoutOf(header('Perkey-Timeout-Ms')),
    idempotencyKey: idempotencyKeyOf(header('Idempotency-Key')),
  };
}

const timeoutMsMax = 600_000;
const idempotencyKeyCharsMax = 256;
const traceNames = ['traceparent', 'tracestate'] as const;
const decoder = new TextDecoder('utf-8', { fatal: true });

function malformed(code: 'request.malformed' | 'payload.too_large' | 'key.invalid', message: string): PerkeyError {
  return new PerkeyError(code, message);
}

function parseBody(data: Uint8Array): unknown {
  if (data.length === 0) return undefined;
  try {
    return JSON.parse(decoder.decode(data));
  } catch {
    throw malformed('request.malformed', 'the body is not JSON in UTF-8');
  }
}

function keyAndInput(keyHeader: string | undefined, body: unknown): { readonly key: string; readonly input: unknown } {
  if (keyHeader !== undefined) return { key: decodeKey(keyHeader), input: body };
  const fields = typeof body === 'object' && body !== null && !Array.isArray(body) ? (body as Record<string, unknown>) : {};
  const key = Object.hasOwn(fields, 'key') ? fields['key'] : undefined;
  if (typeof key !== 'string' || key === '') {
    throw malformed('key.invalid', 'there is no key: set the header Perkey-Key, or send {"key": "...", "input": ...}');
  }
  return { key, input: Object.hasOwn(fields, 'input') ? fields['input'] : undefined };
}

function decodeKey(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw malformed('key.invalid', 'the header Perkey-Key is not percent-encoded UTF-8');
  }
}

function timeoutOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (ms < 1 || ms > timeoutMsMax)
    throw malformed('request.malformed', `the header Perkey-Timeout-Ms is not an integer from 1 to ${timeoutMsMax}`);
  return ms;
}

function idempotencyKeyOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  if (text.length > idempotencyKeyCharsMax || !/^[\x21-\x7e]+$/.test(text)) {
    throw malformed('request.malformed', `the header Idempotency-Key is not 1 to ${idempotencyKeyCharsMax} printable ASCII characters`);
  }
  return text;
}

function traceHeaders(header: (name: string) => string | undefined): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const name of traceNames) {
    const value = header(name);
    if (value !== undefined && value.length <= 512) found[name] = value;
  }
  return found;
}

export interface JsonAnswer {
  readonly body: string;
  readonly headers?: MsgHdrs;
  readonly error?: PerkeyError;
}

/** The outcome in JSON; an output that has no JSON, or is over the limit, becomes an error. */
export function writeJsonAnswer(value: unknown, bytesMax: number): JsonAnswer {
  let body: string | undefined;
  try {
    body = value === undefined ? 'null' : JSON.stringify(value);
  } catch {
    body = undefined;
  }
  if (body === undefined)
    return writeJsonError(new PerkeyError('reply.not_plain', 'the output has no JSON form', { executed: 'yes' }), bytesMax);
  const bytes = Buffer.byteLength(body);
  if (bytes <= bytesMax) return { body };
  return writeJsonError(new PerkeyError('reply.too_large', `the answer has ${bytes} bytes; the limit is ${bytesMax}`), bytesMax);
}

/** Anything that is not an error of the catalogue is told as `handler.failed`, without its text. */
export function writeJsonError(thrown: unknown, bytesMax: number): JsonAnswer {
  const error =
    thrown instanceof PerkeyError && isErrorCode(thrown.code)
      ? thrown
      : new PerkeyError('handler.failed', 'the call failed; see the log of the node');
  const message = safeText(error.message, 512);
  const hint = error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs };
  const short = { code: error.code, message, executed: error.executed };
  const marks = headers();
  marks.set('Perkey-Error-Code', error.code);
  marks.set('Perkey-Executed', error.executed);
  marks.set('Nats-Service-Error', message.replace(/[^\x20-\x7e]/g, '?'));
  marks.set('Nats-Service-Error-Code', String(statusOf(error)));
  return {
    body: errorBody({ ...short, ...hint, details: error.details }, { ...short, ...hint, details: {} }, bytesMax),
    headers: marks,
    error,
  };
}

function errorBody(full: object, short: object, bytesMax: number): string {
  try {
    const body = JSON.stringify(full);
    if (Buffer.byteLength(body) <= bytesMax) return body;
  } catch {
    // The details have no JSON form: the rest is sent without them.
  }
  return JSON.stringify(short);
}

/** Numbers in the manner of HTTP, for tools that know no codes; for other codes it is 503 where nothing was executed, else 500. */
const statuses: ReadonlyMap<ErrorCode, number> = new Map<ErrorCode, number>([
  ['input.invalid', 400],
  ['key.invalid', 400],
  ['request.malformed', 400],
  ['call.cycle', 400],
  ['request.refused', 403],
  ['request.forbidden', 403],
  ['actor.unknown_type', 404],
  ['method.unknown', 404],
  ['payload.too_large', 413],
  ['actor.error', 422],
  ['idempotency.mismatch', 422],
  ['mailbox.full', 429],
  ['client.overloaded', 429],
  ['deadline.exceeded', 504],
  ['request.expired', 504],
]);

function statusOf(error: PerkeyError): number {
  return statuses.get(error.code) ?? (error.executed === 'no' ? 503 : 500);
}
