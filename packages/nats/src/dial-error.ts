import { safeText } from '@perkey/core';

/** Why an attempt to connect failed: in one line for people, and whether trying again without change is pointless. */
export interface DialFault {
  readonly reason: string;
  readonly refused: boolean;
}

const certificateCodes: ReadonlySet<string> = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_REJECTED',
  'CERT_REVOKED',
  'CERT_UNTRUSTED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

const refusedNames: ReadonlySet<string> = new Set(['AuthorizationError', 'UserAuthenticationExpiredError']);

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return '';
  const { code } = error as { code?: unknown };
  if (typeof code === 'string') return code;
  return error.cause === undefined ? '' : codeOf(error.cause);
}

/** What the client library threw, told apart: credentials and certificates are refused, the rest may pass. */
export function dialFault(error: unknown): DialFault {
  const code = codeOf(error);
  const message = safeText(error);
  if (error instanceof Error && refusedNames.has(error.name)) return { reason: `${message}; check the credentials`, refused: true };
  if (certificateCodes.has(code) || code.startsWith('ERR_TLS_') || code.startsWith('ERR_SSL_') || code.startsWith('ERR_OSSL_')) {
    return { reason: `TLS: ${message} (${code})`, refused: true };
  }
  if (/does not support 'tls'/.test(message)) return { reason: 'the server has no TLS, and TLS was asked for', refused: true };
  if (/unable to parse credentials|invalid (seed|encoding|prefix|base32|checksum)/i.test(message)) {
    return { reason: 'the credentials are not well formed', refused: true };
  }
  if (message === 'timeout') return { reason: 'no answer', refused: false };
  const reason = message === '' || message === 'undefined' ? 'the connection was closed during the handshake' : message;
  return { reason: code === '' || reason.includes(code) ? reason : `${reason} (${code})`, refused: false };
}
