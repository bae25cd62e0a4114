import type { Clock } from '../base/clock.ts';
import { describeThrown, PerkeyError } from '../base/errors.ts';
import type { StreamName } from '../contract/commit-log.ts';
import type { CommitAuthor, StreamHead } from './commit.ts';
import { settlePauses } from './settle.ts';
import type { StateDraft, StateStore, StoredState } from './state-store.ts';

/**
 * `appended`: the commit of this id was stored; with the draft's state, or with what lies in `latest` where that is there. `absent`: it was not,
 * and never will be; `latest` was stored instead, or is what `head` says. `unknown`: nobody could tell.
 */
export type StateSettlement =
  | { readonly kind: 'appended'; readonly head: StreamHead; readonly latest?: StoredState | undefined }
  | { readonly kind: 'absent'; readonly latest: StoredState }
  | { readonly kind: 'unknown'; readonly error: PerkeyError };

export interface SettleStateParts {
  readonly store: StateStore;
  readonly clock: Clock;
  readonly stream: StreamName;
  readonly head: StreamHead;
  readonly author: CommitAuthor;
  readonly draft: StateDraft;
  readonly deadline: number;
  /** Whether a state that was stored some steps later says that the draft was stored before it; `undefined` where it does not say. */
  readonly isStoredBefore?: ((latest: StoredState) => boolean | undefined) | undefined;
}

/** Never rejects. */
export async function settleState(parts: SettleStateParts): Promise<StateSettlement> {
  let why = 'the time was over';
  for await (const _ of settlePauses(parts.clock, parts.deadline)) {
    const settled = await attempt(parts);
    if (typeof settled !== 'string') return settled;
    why = settled;
  }
  return { kind: 'unknown', error: new PerkeyError('commit.unknown', `The store did not say whether it holds the state: ${why}`) };
}

async function attempt({ store, stream, head, author, draft, isStoredBefore }: SettleStateParts): Promise<StateSettlement | string> {
  const result = await store.save(stream, head, author, draft);
  if (result.kind === 'appended') return result;
  if (result.kind === 'refused') return result.error.message;
  if (result.kind !== 'conflict') return 'it did not answer';
  try {
    const latest = await store.load(stream);
    if (latest === undefined || latest.head.sequence <= head.sequence) return 'the stream has another last state than can be read';
    // The same command with the same idempotency key may have come to another state where another owner ran it.
    if (latest.id === draft.id) return { kind: 'appended', head: latest.head, latest };
    if (latest.previousHash === head.hash) return { kind: 'absent', latest };
    const isStored = isStoredBefore?.(latest);
    if (isStored !== undefined) return isStored ? { kind: 'appended', head: latest.head, latest } : { kind: 'absent', latest };
    return { kind: 'unknown', error: new PerkeyError('commit.unknown', 'Other states were stored since, which do not tell of this one.') };
  } catch (thrown) {
    return describeThrown(thrown);
  }
}
