import { type Executed, PerkeyError, safeText } from '@perkey/core';
import { type FileFault, faultOf } from './file-fault.ts';

export function closedError(): PerkeyError {
  return new PerkeyError('store.unavailable', 'the store was closed', { executed: 'no' });
}

/** What an open store says of a read or a write that did not work. */
export function unavailable({ reason, text }: FileFault, executed: Executed): PerkeyError {
  return new PerkeyError('store.unavailable', safeText(text, 1_024), { executed, details: { reason } });
}

export function readFailed(error: unknown): PerkeyError {
  return error instanceof PerkeyError ? error : unavailable(faultOf(error), 'no');
}

/** What the opening says; `path` stands before the text where the text does not say it. */
export function openingFailed({ reason, text }: FileFault, path: string): PerkeyError {
  const message = safeText(text.includes(path) ? text : `${path}: ${text}`, 2_048);
  if (reason === 'mismatch') return new PerkeyError('store.mismatch', message, { details: { path: safeText(path, 1_024) } });
  const passing = reason === 'full' || reason === 'input_output' || reason === 'other';
  return new PerkeyError(passing ? 'store.unavailable' : 'store.refused', message, {
    executed: 'no',
    details: { reason, path: safeText(path, 1_024) },
  });
}
