import type { Clock } from '../base/clock.ts';
import type { RecordStore, StoredRecord } from '../contract/record-store.ts';

const retryMs = 50;

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
 * so that finding it in the store proves the write. Attempts name the same revision: at most one of them is applied.
 */
export async function settledWrite(write: SettledWrite): Promise<SettledOutcome> {
  while (write.wanted()) {
    try {
      const outcome = await write.store.write(write.key, write.value, write.revision);
      if (outcome.applied) return applied(write, outcome.revision);
      const latest = await write.store.read(write.key);
      if (latest?.value === write.value) return applied(write, latest.revision);
      if ((latest?.revision ?? 0) !== write.revision) return { kind: 'refused', latest };
    } catch {
      // No answer: the attempt may have been applied, and the next one will show it.
    }
    await new Promise<void>((resolve) => {
      write.clock.setTimer(retryMs, resolve);
    });
  }
  return { kind: 'in doubt' };
}

function applied(write: SettledWrite, revision: number): SettledOutcome {
  return { kind: 'applied', stored: { key: write.key, value: write.value, revision } };
}
