import { PerkeyError } from './errors.ts';
import type { ErrorCode, ErrorOptions } from './errors.ts';

/**
 * An error without a stack trace, which costs an eighth of one with: for refusals, whose stack says nothing about the caller's code,
 * and for whatever hostile input can cause in numbers.
 */
export function bareError(code: ErrorCode, message: string, options?: ErrorOptions): PerkeyError {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return new PerkeyError(code, message, options);
  } finally {
    Error.stackTraceLimit = limit;
  }
}
