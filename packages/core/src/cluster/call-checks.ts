import { faultOfSettings } from '../actor/call-settings.ts';
import { invalidKey, isKey } from '../actor/names.ts';
import { bareError } from '../base/bare-error.ts';
import { PerkeyError } from '../base/errors.ts';
import { safeText } from '../base/log-text.ts';
import { type CallOptions, noOptions } from '../contract/calls.ts';
import type { Pending } from './pending.ts';

/** Longer ones are cut to this: no caller comes back for an answer after a day. */
const timeoutMaxMs = 86_400_000;

export interface CallLimits {
  readonly keyBytesMax: number;
  readonly requestTimeoutMs: number;
}

/** Refuses what must never leave, and finds the point in time at which the call ends. */
export function checkCall(pending: Pending, { keyBytesMax, requestTimeoutMs }: CallLimits): void {
  const { options } = pending;
  checkKey(pending.key, keyBytesMax);
  // What is said of a call in a turn was checked by the handle that took it.
  const fault = options === noOptions || pending.madeIn.length > 0 ? undefined : faultOfSettings(options);
  if (fault !== undefined) throw fault;
  const { idempotencyKey } = options;
  if (idempotencyKey !== undefined && !isIdempotencyKey(idempotencyKey)) throw invalidIdempotencyKey(idempotencyKey);
  pending.deadline = deadlineOf(options, pending.startedAt, requestTimeoutMs);
  if (!(pending.deadline > pending.startedAt)) throw bareError('request.expired', 'the deadline passed before the request was made');
}

/** Two keys that look alike to the wire must never become one, so that what is not well formed is refused before it is hashed. */
function checkKey(key: unknown, keyBytesMax: number): void {
  if (!isKey(key, keyBytesMax)) throw invalidKey(key, keyBytesMax);
}

/** An empty one is none that somebody chose: with it, all that a caller wants would be repeats of its first call. */
function isIdempotencyKey(value: unknown): boolean {
  return typeof value === 'string' && value !== '';
}

function invalidIdempotencyKey(value: unknown): PerkeyError {
  const what = value === '' ? 'empty' : `a value of type ${typeof value}`;
  return new PerkeyError('options.invalid', `idempotencyKey is ${what}, but must be a text that names the request, or be left out`, {
    details: { option: 'idempotencyKey' },
  });
}

/** The point in time at which the call ends. Throws `options.invalid`. */
function deadlineOf(options: CallOptions, now: number, requestTimeoutMs: number): number {
  const { timeoutMs, deadline } = options;
  let ends = now + requestTimeoutMs;
  if (timeoutMs !== undefined) {
    if (typeof timeoutMs !== 'number' || !(timeoutMs > 0)) throw invalid('timeoutMs', timeoutMs, 'above 0');
    ends = now + Math.min(timeoutMs, timeoutMaxMs);
  }
  if (deadline === undefined) return ends;
  if (typeof deadline !== 'number' || Number.isNaN(deadline)) throw invalid('deadline', deadline, 'a point in time');
  return Math.min(ends, deadline);
}

function invalid(option: string, value: unknown, bounds: string): PerkeyError {
  return new PerkeyError('options.invalid', `${option} is ${safeText(value)}, but must be a number ${bounds}`, { details: { option } });
}
