import { bareError } from '../base/bare-error.ts';
import { describeThrown, PerkeyError } from '../base/errors.ts';
import { safeText } from '../base/log-text.ts';
import type { RefusedAppend } from '../contract/commit-log.ts';

/** The log said that the record is not stored and never will be. */
export function refusedAppend(reason: RefusedAppend, text: string): PerkeyError {
  const said = safeText(text, 256);
  switch (reason) {
    case 'full':
      return bareError('store.full', `the store has no room; nothing was stored: ${said}`, { retryAfterMs: 1_000 });
    case 'too_large':
      return bareError('commit.too_large', `the store does not take so large a record; nothing was stored: ${said}`);
    case 'unavailable':
      return unavailable(`the store could not be reached; nothing was stored: ${said}`);
  }
}

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
  if (!(thrown instanceof PerkeyError)) return unavailable(`loading failed: ${safeText(describeThrown(thrown), 256)}`);
  return thrown.executed === 'no'
    ? thrown
    : bareError(thrown.code, thrown.message, { executed: 'no', details: thrown.details, cause: thrown });
}
