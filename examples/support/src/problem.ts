import { type ErrorCode, errorCatalogue, type Executed, PerkeyError } from '@perkey/core';
import { STATUS_CODES } from 'node:http';

/** What a caller over HTTP is told (RFC 9457). `code` is stable; `executed` says whether something was, or may have been, changed. */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly executed: Executed;
  readonly more: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: string,
    executed: Executed,
    detail: string,
    { more = {}, headers = {} }: { readonly more?: Problem['more']; readonly headers?: Problem['headers'] } = {},
  ) {
    super(detail);
    this.status = status;
    this.code = code;
    this.executed = executed;
    this.more = more;
    this.headers = status === 503 || status === 429 ? { 'retry-after': '1', ...headers } : headers;
  }

  get body(): string {
    const { status, message: detail, code, executed, more } = this;
    return JSON.stringify({ type: 'about:blank', title: STATUS_CODES[status], status, detail, code, executed, ...more });
  }
}

/** Errors of the runtime that are not the server's fault, or that pass; every other code is a 500. */
const statusOf: Partial<Record<ErrorCode, number>> = {
  'input.invalid': 400,
  'key.invalid': 400,
  'payload.not_plain': 400,
  'request.forbidden': 403,
  'commit.conflict': 409,
  'idempotency.mismatch': 409,
  'payload.too_large': 413,
  'actor.error': 422,
  'mailbox.full': 429,
  'node.lost': 502,
  'link.lost': 502,
  'turn.abandoned': 502,
  'reply.malformed': 502,
  'actor.activation_failed': 503,
  'actor.limit': 503,
  'actor.quarantined': 503,
  'actor.unknown_type': 503,
  'client.closed': 503,
  'client.overloaded': 503,
  'link.down': 503,
  'node.overloaded': 503,
  'node.stopped': 503,
  'node.suspended': 503,
  'node.unreachable': 503,
  'shard.moved': 503,
  'shard.no_owner': 503,
  'store.full': 503,
  'store.unavailable': 503,
  'commit.unknown': 504,
  'deadline.exceeded': 504,
  'request.expired': 504,
  'turn.timeout': 504,
};

/** Errors of the HTTP library. They strike before a request reaches an actor. */
const libraryProblems: Readonly<Record<string, () => Problem>> = {
  FST_ERR_BAD_URL: () => new Problem(400, 'http.bad_path', 'no', 'The path is not percent-encoded UTF-8.'),
  FST_ERR_CTP_BODY_TOO_LARGE: () => new Problem(413, 'http.body_too_large', 'no', 'The body is larger than 64 KiB.'),
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: () => new Problem(400, 'http.bad_request', 'no', 'The body is not as long as Content-Length says.'),
};

export function notFound(): Problem {
  return new Problem(404, 'http.not_found', 'no', 'There is nothing at this path.');
}

/** What a program makes of errors that its own contracts declare; undefined: nothing of its own. */
export type ProblemOf = (error: PerkeyError) => Problem | undefined;

/** Texts come from the catalogue, never from the error: a message may name nodes, a stack or what was sent. */
export function problemOf(error: unknown, own?: ProblemOf): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof PerkeyError) return own?.(error) ?? ofRuntime(error);
  const { code, statusCode = 500 } = error as { readonly code?: string; readonly statusCode?: number };
  const known = code === undefined ? undefined : libraryProblems[code];
  if (known) return known();
  if (statusCode < 500) return new Problem(statusCode, 'http.bad_request', 'no', 'The request is malformed.');
  return new Problem(500, 'http.internal', 'unknown', 'The server failed; its log says why.');
}

function ofRuntime({ code, executed, details, retryAfterMs }: PerkeyError): Problem {
  const status = statusOf[code] ?? 500;
  const more = code === 'input.invalid' ? { errors: details['issues'] } : {};
  const headers = retryAfterMs === undefined ? {} : { 'retry-after': String(Math.max(1, Math.ceil(retryAfterMs / 1000))) };
  return new Problem(status, code, executed, errorCatalogue[code].meaning, { more, headers });
}
