import { PerkeyError } from '../base/errors.ts';

/** I11: a refusal of the last attempt says nothing of an earlier one whose outcome is not known. */
export function inDoubt(error: PerkeyError): PerkeyError {
  const { code, message, details, retryAfterMs } = error;
  return new PerkeyError(code, `${message}; an earlier attempt may have been executed`, {
    ...{ executed: 'unknown', details, cause: error },
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  });
}
