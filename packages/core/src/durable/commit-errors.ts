import { bareError } from '../base/bare-error.ts';
import { describeThrown, PerkeyError } from '../base/errors.ts';
import { safeText } from '../base/log-text.ts';

/** The store did not answer, and nothing was asked of it that would have stored something. */
export function unavailable(text: string): PerkeyError {
  return bareError('store.unavailable', text, { executed: 'no', retryAfterMs: 500 });
}

export function unknownCommit(type: string): PerkeyError {
  return bareError('commit.unknown', `the store did not say in time whether the commit of this ${type} is stored`);
}

export function conflictRefusal(type: string): PerkeyError {
  return bareError('commit.conflict', `other commits of this ${type} came first again and again; nothing was stored`, {
    retryAfterMs: 100,
  });
}

export function tombstoned(type: string): PerkeyError {
  return bareError('stream.tombstoned', `the history of this ${type} was closed for good`);
}

/** What loading came to, as an error that says that nothing was executed. */
export function loadFailure(thrown: unknown): PerkeyError {
  if (!(thrown instanceof PerkeyError)) {
    return bareError('actor.activation_failed', `loading failed: ${safeText(describeThrown(thrown), 256)}`, { cause: thrown });
  }
  if (thrown.executed === 'no') return thrown;
  return bareError(thrown.code, thrown.message, { executed: 'no', details: thrown.details, cause: thrown });
}
