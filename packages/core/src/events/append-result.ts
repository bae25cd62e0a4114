import { PerkeyError } from '../base/errors.ts';
import type { RefusedAppend } from '../contract/commit-log.ts';
import type { StreamHead } from './commit.ts';

/**
 * `appended`: the record is stored; `head` is what the next append expects.
 * `conflict`: the stream's last record is another than `head`; whether it is this very commit, only reading the stream tells.
 * `fenced`: the stream was written under a higher epoch; its owner is another one. Nothing was sent.
 * `refused`: certainly not stored.
 * `unknown`: perhaps stored, perhaps later; `EventStore.settle` finds out.
 */
export type AppendResult =
  | { readonly kind: 'appended'; readonly head: StreamHead }
  | { readonly kind: 'conflict' }
  | { readonly kind: 'fenced'; readonly owner: string; readonly epoch: number }
  | { readonly kind: 'refused'; readonly error: PerkeyError }
  | { readonly kind: 'unknown'; readonly text: string };

export const conflicted: AppendResult = Object.freeze({ kind: 'conflict' });

export function refused(error: PerkeyError): AppendResult {
  return { kind: 'refused', error };
}

/** The error for what a log refused. */
export function refusalError(reason: RefusedAppend, text: string): PerkeyError {
  switch (reason) {
    case 'full':
      return new PerkeyError('store.full', `The store has no room left: ${text}`);
    case 'too_large':
      return new PerkeyError('commit.too_large', `The store does not take the record: ${text}`);
    case 'unavailable':
      return new PerkeyError('store.unavailable', `The store cannot be reached: ${text}`, { executed: 'no' });
  }
}
