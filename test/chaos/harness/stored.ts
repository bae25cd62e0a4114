import { EventStore, noMetrics, type OpenStore, PerkeyError, systemClock, systemRandom } from '@perkey/core';
import { CommitReader } from '@perkey/core/internal';
import { type Added, lifeOfLog } from './durable-ledger.ts';
import { Ledger, type Seen } from './ledger.ts';
import type { Outcome } from './outcome.ts';

/** An effect as the log holds it. */
export interface StoredTurn extends Seen {
  readonly key: string;
  readonly rid: string;
}

/** What is in the log of all ledgers. */
export interface Stored {
  /** In the order of the log. */
  readonly turns: readonly StoredTurn[];
  /** What reading each stream from its beginning has shown: writers, versions, hashes. */
  readonly problems: readonly string[];
  /** Records without an event, by which an owner shut out what others had on their way. */
  readonly fences: number;
}

const { type } = Ledger;
const verifiedAtOnce = 16;

export async function readStored({ events: log }: OpenStore, shards: number): Promise<Stored> {
  const reader = new CommitReader();
  const turns: StoredTurn[] = [];
  const keys = new Set<string>();
  let fences = 0;
  try {
    for await (const { records } of log.read({ after: 0, types: [type], batchMax: 500 })) {
      for (const record of records) {
        const { key, kind, epoch, events } = reader.read(record);
        keys.add(key);
        if (kind === 'fence') fences += 1;
        for (const { version, data } of events) {
          const { rid, node, by } = data as Added;
          turns.push({ key, rid, value: version, born: lifeOfLog, epoch, node, by });
        }
      }
    }
  } catch (error) {
    return { turns, fences, problems: [`the log cannot be read: ${error instanceof PerkeyError ? error.message : String(error)}`] };
  }
  const store = new EventStore({ log, clock: systemClock, random: systemRandom, metrics: noMetrics, shards });
  return { turns, fences, problems: await verified(store, [...keys]) };
}

async function verified(store: EventStore, keys: readonly string[]): Promise<string[]> {
  const problems: string[] = [];
  for (let i = 0; i < keys.length; i += verifiedAtOnce) {
    const some = keys.slice(i, i + verifiedAtOnce);
    const reports = await Promise.all(some.map((key) => store.verify({ type, key })));
    reports.forEach((report, at) => {
      for (const { sequence, what } of report.problems) problems.push(`rejected: the log of ${some[at]}, record ${sequence}: ${what}`);
    });
  }
  return problems;
}

/**
 * I18: what a later owner has answered is all that there is. An event of an earlier epoch that stands behind the version that a later epoch
 * told came into the log after the take-over.
 */
export function lateAppends(outcomes: readonly Outcome[], turns: readonly StoredTurn[]): string[] {
  const told = new Map<string, Map<number, number>>();
  for (const { key, told: end } of outcomes) {
    if (!('ok' in end)) continue;
    const byEpoch = told.get(key) ?? new Map<number, number>();
    told.set(key, byEpoch);
    byEpoch.set(end.ok.epoch, Math.min(end.ok.value, byEpoch.get(end.ok.epoch) ?? Infinity));
  }
  const late: string[] = [];
  for (const { key, rid, value, epoch } of turns) {
    for (const [laterEpoch, version] of told.get(key) ?? [])
      if (laterEpoch > epoch && version < value)
        late.push(
          `rejected: event ${value} of ${key} (${rid}) was stored under epoch ${epoch} after ${laterEpoch} had answered ${version}`,
        );
  }
  return late;
}
