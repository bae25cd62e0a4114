import { bareError } from '../base/bare-error.ts';
import { isErrorCode } from '../base/errors.ts';
import type { ErrorDetails, PerkeyError } from '../base/errors.ts';
import { copyPlain } from '../base/plain.ts';

/** What the handler of a remembered request came to. */
export type ReplyOutcome = { readonly kind: 'ok'; readonly value: unknown } | { readonly kind: 'error'; readonly error: PerkeyError };

interface Reply {
  readonly idempotencyKey: string;
  readonly method: string;
  readonly caller: string;
  readonly outcome: ReplyOutcome | undefined;
}

/** Key, method, caller, age in ms, then what the turn came to; nothing for a turn that was abandoned. */
export type PackedReply = readonly [
  string,
  string,
  string,
  number,
  ...(readonly [] | readonly ['ok', unknown] | readonly ['error', PackedError]),
];

interface PackedError {
  readonly code: string;
  readonly message: string;
  readonly details: ErrorDetails;
}

export function packReply(reply: Reply & { readonly at: number }, now: number): PackedReply {
  const { outcome } = reply;
  const ageMs = Math.max(0, now - reply.at);
  if (outcome === undefined) return [reply.idempotencyKey, reply.method, reply.caller, ageMs];
  if (outcome.kind === 'ok') return [reply.idempotencyKey, reply.method, reply.caller, ageMs, 'ok', outcome.value];
  return [reply.idempotencyKey, reply.method, reply.caller, ageMs, 'error', packError(outcome.error)];
}

function packError(error: PerkeyError): PackedError {
  const { code, message } = error;
  try {
    return { code, message, details: copyPlain(error.details) };
  } catch {
    return { code, message, details: {} };
  }
}

/** `undefined` for what `packReply` cannot have made. */
export function unpackReply(packed: unknown): (Reply & { readonly ageMs: number }) | undefined {
  if (!Array.isArray(packed)) return undefined;
  const [idempotencyKey, method, caller, ageMs, kind, value] = packed as unknown[];
  const whole = typeof idempotencyKey === 'string' && typeof method === 'string' && typeof caller === 'string' && typeof ageMs === 'number';
  if (!whole || !(ageMs >= 0)) return undefined;
  return { idempotencyKey, method, caller, ageMs, outcome: unpackOutcome(kind, value) };
}

/** An outcome that cannot be read is one that nobody knows: the repeat is told so. */
function unpackOutcome(kind: unknown, value: unknown): ReplyOutcome | undefined {
  if (kind === 'ok') return { kind, value };
  if (kind !== 'error' || typeof value !== 'object' || value === null) return undefined;
  const { code, message, details } = value as Record<string, unknown>;
  if (!isErrorCode(code) || typeof message !== 'string') return undefined;
  const isObject = typeof details === 'object' && details !== null;
  return { kind, error: bareError(code, message, { details: isObject ? (details as ErrorDetails) : {} }) };
}
