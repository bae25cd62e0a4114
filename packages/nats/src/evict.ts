import { PerkeyError, safeText } from '@perkey/core';
import type { Clock, Logger, RecordStore, StoredRecord } from '@perkey/core';

export interface Eviction {
  readonly members: RecordStore;
  readonly nodeId: string;
  readonly incarnation: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long this may take before it is given up. */
  readonly limitMs: number;
}

const pauseMs = 20;

/**
 * Marks the incarnation of a process that is known to be dead as gone, at once: a dead process cannot act, so nobody has to wait for its
 * lease. The last renewal it sent may still arrive, hence the loop. `true`: the record says gone, or holds another incarnation by now.
 */
export async function evictDead(eviction: Eviction): Promise<boolean> {
  const { members, nodeId, incarnation, clock, log, limitMs } = eviction;
  const giveUpAt = clock.now() + limitMs;
  let reason = '';
  for (;;) {
    try {
      const found = await members.read(`member.${nodeId}`);
      const record = found && liveRecord(found, incarnation);
      if (found === undefined || record === undefined) return true;
      const outcome = await members.write(found.key, JSON.stringify({ ...record, state: 'gone' }), found.revision);
      if (outcome.applied) {
        log.info({ nodeId, incarnation }, 'the process of a node has ended; its incarnation is evicted');
        return true;
      }
      reason = 'its record keeps changing';
    } catch (error) {
      if (!(error instanceof PerkeyError)) throw error;
      reason = safeText(error);
    }
    if (clock.now() >= giveUpAt) {
      log.warn({ nodeId, incarnation, reason }, 'a dead node could not be evicted; its lease has to run out');
      return false;
    }
    await new Promise<void>((resolve) => {
      clock.setTimer(pauseMs, resolve);
    });
  }
}

/** The record as it stands, with all its fields, if it is that incarnation's and does not say gone. */
function liveRecord(found: StoredRecord, incarnation: string): object | undefined {
  let value: unknown;
  try {
    value = JSON.parse(found.value);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { incarnation: holder, state } = value as Record<string, unknown>;
  return holder === incarnation && state !== 'gone' ? value : undefined;
}
