import type { HistoryFinding } from './finding.ts';
import type { LoggedEvent, Operation } from './operation.ts';
import { operationText, timeText, valueText } from './text.ts';

/** Something that was executed at a moment between two others, under an epoch. */
interface Act {
  readonly key: string;
  readonly epoch: number;
  readonly by: string | undefined;
  readonly t0: number;
  readonly t1: number;
  readonly of: Operation | LoggedEvent;
}

/**
 * One incarnation for each shard and epoch, and no act of an epoch after one of a later epoch: where this holds, the moments of all acts of a shard can be
 * chosen so that its epochs only rise, and at most one acts at any moment.
 */
export function ownership(
  operations: readonly Operation[],
  events: readonly LoggedEvent[],
  shardOf: (key: string) => string | number,
): HistoryFinding[] {
  const byShard = new Map<string | number, Act[]>();
  const add = (act: Act): void => {
    const shard = shardOf(act.key);
    const acts = byShard.get(shard);
    if (acts === undefined) byShard.set(shard, [act]);
    else acts.push(act);
  };
  for (const operation of operations) {
    const { key, epoch, by, t0, t1, outcome } = operation;
    if (outcome === 'ok' && epoch !== undefined) add({ key, epoch, by, t0, t1, of: operation });
  }
  for (const event of events) {
    const { key, epoch, by, at } = event;
    if (epoch !== undefined) add({ key, epoch, by, t0: at ?? -Infinity, t1: at ?? Infinity, of: event });
  }
  return [...byShard].flatMap(([shard, acts]) => [...holders(shard, acts), ...rising(shard, acts)]);
}

function holders(shard: string | number, acts: readonly Act[]): HistoryFinding[] {
  const findings: HistoryFinding[] = [];
  const known = new Map<number, Act>();
  const told = new Set<string>();
  for (const act of acts) {
    if (act.by === undefined) continue;
    const holder = known.get(act.epoch);
    if (holder === undefined) known.set(act.epoch, act);
    else if (holder.by !== act.by && !told.has(`${act.epoch} ${act.by}`)) {
      told.add(`${act.epoch} ${act.by}`);
      const text = `epoch ${act.epoch} of shard ${shard} was served by ${holder.by} and by ${act.by}: ${actText(holder)} | ${actText(act)}`;
      findings.push({ rule: 'one incarnation', key: act.key, text, operations: operationsOf([holder, act]) });
    }
  }
  return findings;
}

/** The first case of each shard. */
function rising(shard: string | number, acts: readonly Act[]): HistoryFinding[] {
  const ended = acts.toSorted((a, b) => a.t1 - b.t1);
  let done = 0;
  let highest: Act | undefined;
  for (const act of acts.toSorted((a, b) => a.t0 - b.t0)) {
    for (let next = ended[done]; next !== undefined && next.t1 < act.t0; next = ended[done]) {
      if (highest === undefined || highest.epoch < next.epoch) highest = next;
      done += 1;
    }
    if (highest === undefined || highest.epoch <= act.epoch) continue;
    const text = `shard ${shard} acted under epoch ${act.epoch} after it had acted under ${highest.epoch}: ${actText(highest)} | ${actText(act)}`;
    return [{ rule: 'epochs rise', key: act.key, text, operations: operationsOf([highest, act]) }];
  }
  return [];
}

function operationsOf(acts: readonly Act[]): Operation[] {
  return acts.map(({ of }) => of).filter((of): of is Operation => 'outcome' in of);
}

function actText({ of }: Act): string {
  return 'outcome' in of ? operationText(of) : eventText(of);
}

export function eventText({ key, rid, version, epoch, by, life, at }: LoggedEvent): string {
  const facts = [rid && `rid ${rid}`, epoch !== undefined && `epoch ${epoch}`, by && `by ${by}`, life && `life ${life}`].filter(Boolean);
  return `event ${version} of ${valueText(key, 100)}${at === undefined ? '' : ` at ${timeText(at)}`}${facts.length > 0 ? ` ${facts.join(', ')}` : ''}`;
}
