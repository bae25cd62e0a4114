import { expect, test } from 'vitest';
import { dialFault } from './dial-error.ts';

function named(name: string, message: string, code?: string): Error {
  return Object.assign(new Error(message), { name }, code === undefined ? {} : { code });
}

test('credentials and certificates are refused, the rest may pass', () => {
  for (const error of [
    named('AuthorizationError', 'Authorization Violation'),
    named('UserAuthenticationExpiredError', 'User Authentication Expired'),
    named('Error', 'self-signed certificate', 'DEPTH_ZERO_SELF_SIGNED_CERT'),
    named('Error', 'wrong host', 'ERR_TLS_CERT_ALTNAME_INVALID'),
    named('ConnectionError', "server does not support 'tls'"),
    named('Error', 'unable to parse credentials'),
  ]) {
    expect([error.message, dialFault(error).refused]).toEqual([error.message, true]);
  }
  for (const error of [
    named('TimeoutError', 'timeout'),
    named('Error', 'read ECONNRESET', 'ECONNRESET'),
    undefined,
    'text',
    new Error(''),
  ]) {
    expect(dialFault(error).refused).toBe(false);
    expect(dialFault(error).reason).not.toBe('');
  }
});

test('the reason names the code below the library’s own error', () => {
  const cause = named('Error', 'connect ECONNREFUSED 127.0.0.1:1', 'ECONNREFUSED');
  expect(dialFault(new Error('connection refused', { cause }))).toEqual({ reason: 'connection refused (ECONNREFUSED)', refused: false });
});
