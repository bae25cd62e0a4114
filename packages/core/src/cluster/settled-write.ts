import type { Clock } from '../base/clock.ts';
import type { RecordStore, StoredRecord } from '../contract/record-store.ts';

const firstRetryMs = 50;
const retryMaxMs = 250;
/** For so long a leader that was deposed was seen to answer reads with what it had. */
const staleReadsMs = 20_000;

export interface SettledWrite {
  readonly store: RecordStore;
  readonly clock: Clock;
  readonly key: string;
  readonly value: string;
  readonly revision: number;
  /** False once there is no point in trying on (the lease ended). Asked before each attempt. */
  readonly wanted: () => boolean;
}

/** `applied` with the record as stored, or not applied with the record that stands instead, or given up in doubt. */
export type SettledOutcome =
  | { readonly kind: 'applied'; readonly stored: StoredRecord }
  | { readonly kind: 'refused'; readonly latest: StoredRecord | undefined }
  | { readonly kind: 'in doubt' };

/**
 * A compare-and-set that is tried until its outcome is known (H6). The value must be one that nobody else writes and that is written once,
 * so that finding it in the store proves the write. Attempts name the same revision: at most one of them is applied. Only a later record
 * proves a refusal; a read that knows less than `revision` is stale (H3), unless it stays so: then the store was set back.
 */
export async function settledWrite(write: SettledWrite): Promise<SettledOutcome> {
  const { store, clock, key, value } = write;
  let staleSince: number | undefined;
  for (let delayMs = firstRetryMs; write.wanted(); delayMs = Math.min(retryMaxMs, delayMs * 2)) {
    try {
      const outcome = await store.write(key, value, write.revision);
      if (outcome.applied) return applied(write, outcome.revision);
      const latest = await store.read(key);
      if (latest?.value === value) return applied(write, latest.revision);
      const revision = latest?.revision ?? 0;
      staleSince = revision < write.revision ? (staleSince ?? clock.now()) : undefined;
      const isSetBack = staleSince !== undefined && clock.now() - staleSince > staleReadsMs;
      if (revision > write.revision || isSetBack) return { kind: 'refused', latest };
    } catch {
      // No answer: the attempt may have been applied, and the next one will show it.
    }
    await new Promise<void>((resolve) => {
      clock.setTimer(delayMs, resolve);
    });
  }
  return { kind: 'in doubt' };
}

function applied(write: SettledWrite, revision: number): SettledOutcome {
  return { kind: 'applied', stored: { key: write.key, value: write.value, revision } };
}
