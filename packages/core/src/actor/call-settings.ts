import { bareError } from '../base/bare-error.ts';
import type { PerkeyError } from '../base/errors.ts';
import { safeText } from '../base/log-text.ts';
import { nearestName } from '../base/options.ts';
import type { CallOptions, Headers } from '../contract/calls.ts';

/** What a caller may say about one call. */
export interface CallSettings {
  /** Default: the caller's `requestTimeoutMs`. Inside a turn never beyond the turn's own deadline. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly headers?: Headers | undefined;
  /** A repeat with the same key, by the same caller to the same method, gets the first answer. */
  readonly idempotencyKey?: string | undefined;
}

export interface NotifySettings {
  readonly headers?: Headers | undefined;
  readonly idempotencyKey?: string | undefined;
}

const forCallers: Readonly<Record<keyof CallSettings, true>> = { timeoutMs: true, signal: true, headers: true, idempotencyKey: true };
const known: Readonly<Record<keyof CallOptions, true>> = {
  ...forCallers,
  ...{ deadline: true, chain: true, idempotent: true, onBehalfOf: true },
};

/** A setting that is none, or a header that is no text: an `options.invalid` that names it, for callers whose compiler has not. */
export function faultOfSettings(settings: unknown): PerkeyError | undefined {
  if (typeof settings !== 'object' || settings === null) {
    return bareError('options.invalid', `the settings of a call are an object, not ${safeText(settings, 64)}`);
  }
  for (const name in settings) {
    if (!Object.hasOwn(known, name)) return unknownSetting(name);
  }
  const { headers } = settings as CallOptions;
  return headers === undefined ? undefined : faultOfHeaders(headers);
}

function unknownSetting(name: string): PerkeyError {
  const names = Object.keys(forCallers);
  const near = nearestName(name, names);
  const hint = near === undefined ? '' : `; did you mean ${near}?`;
  const option = safeText(name, 64);
  return bareError('options.invalid', `a call has no setting "${option}", only ${names.join(', ')}${hint}`, {
    details: near === undefined ? { option } : { option, near },
  });
}

function faultOfHeaders(headers: Headers): PerkeyError | undefined {
  if (typeof headers !== 'object' || headers === null) {
    return bareError('options.invalid', `the headers of a call are an object, not ${safeText(headers, 64)}`, {
      details: { option: 'headers' },
    });
  }
  for (const name in headers) {
    if (typeof headers[name] === 'string') continue;
    const text = `header "${safeText(name, 64)}" of a call is ${safeText(headers[name], 64)}, but must be a text, or be left out`;
    return bareError('options.invalid', text, { details: { option: 'headers' } });
  }
  return undefined;
}
