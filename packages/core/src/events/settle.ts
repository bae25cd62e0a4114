import type { Clock } from '../base/clock.ts';
import { describeThrown, PerkeyError } from '../base/errors.ts';
import type { StreamName } from '../contract/commit-log.ts';
import type { AppendResult } from './append-result.ts';
import type { Commit, CommitAuthor, StreamHead } from './commit.ts';
import type { EventMetrics } from './event-metrics.ts';
import type { EventStore } from './event-store.ts';

const firstPauseMs = 20;
const pauseMaxMs = 500;

/**
 * `appended`: the commit is in the stream. `absent`: it is not, and never will be. Both with everything that was found behind the head that was
 * known, and the head after it. `unknown`: nobody could tell in time; what is in memory may be older than the stream.
 */
export type Settlement =
  | { readonly kind: 'appended' | 'absent'; readonly head: StreamHead; readonly tail: readonly Commit[] }
  | { readonly kind: 'unknown'; readonly error: PerkeyError };

export interface SettleParts {
  readonly store: EventStore;
  readonly clock: Clock;
  readonly metrics: EventMetrics;
  readonly stream: StreamName;
  /** That the commit was sent with. */
  readonly head: StreamHead;
  readonly author: CommitAuthor;
  readonly commitId: string;
  /** Monotonic ms. */
  readonly deadline: number;
}

/**
 * Finds out what became of a commit. Only what is seen in the stream decides, never its absence from a read, which may be stale: a record that
 * follows `head` has taken the place that the commit wanted. Where there is none, a fence is put there. Never rejects.
 */
export async function settle(parts: SettleParts): Promise<Settlement> {
  const { clock, metrics, deadline } = parts;
  let why = 'the time was over';
  for await (const _ of settlePauses(clock, deadline)) {
    const settled = await attempt(parts);
    if (typeof settled !== 'string') {
      metrics.settleEnded(settled.kind);
      return settled;
    }
    why = settled;
  }
  metrics.settleEnded('unknown');
  return { kind: 'unknown', error: new PerkeyError('commit.unknown', `The store did not say whether it holds the commit: ${why}`) };
}

/** One step at once, others after growing pauses, none that would begin after `deadline` (monotonic ms). */
export async function* settlePauses(clock: Clock, deadline: number): AsyncGenerator<void, void, undefined> {
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMaxMs, pauseMs * 2)) {
    yield;
    if (clock.now() + pauseMs >= deadline) return;
    await new Promise<void>((resolve) => {
      clock.setTimer(pauseMs, resolve);
    });
  }
}

/** The settlement, or why there is none yet. Never rejects. */
async function attempt({ store, stream, head, author, commitId }: SettleParts): Promise<Settlement | string> {
  const tail: Commit[] = [];
  try {
    const after = await store.load(stream, (commit) => tail.push(commit), { from: head });
    if (tail.length > 0) return { kind: tail.some(({ id }) => id === commitId) ? 'appended' : 'absent', head: after, tail };
  } catch (thrown) {
    return describeThrown(thrown);
  }
  return fenced(await store.fence(stream, head, author));
}

function fenced(result: AppendResult): Settlement | string {
  switch (result.kind) {
    case 'appended':
      return { kind: 'absent', head: result.head, tail: [] };
    case 'refused':
      return result.error.message;
    case 'unknown':
      return result.text;
    default:
      return 'the stream has another last record than can be read';
  }
}
