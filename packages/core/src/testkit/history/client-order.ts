import type { HistoryFinding } from './finding.ts';
import type { Rung } from './ladder.ts';
import type { LoggedEvent, Operation } from './operation.ts';

/** The calls of one client to one key stand on the ladder in the order in which they were sent; those without a `seq` anywhere. */
export function orderOfPlaces(key: string, rungs: readonly Rung[]): HistoryFinding[] {
  const findings: HistoryFinding[] = [];
  const numbered = rungs.filter(({ operation }) => operation.seq !== undefined);
  for (const [client, own] of Map.groupBy(numbered, ({ operation }) => operation.client)) {
    let before: Rung | undefined;
    for (const rung of own.toSorted((a, b) => a.operation.seq! - b.operation.seq! || a.rank - b.rank || a.low - b.low)) {
      if (
        before !== undefined &&
        before.operation.seq! < rung.operation.seq! &&
        (rung.rank < before.rank || (rung.rank === before.rank && rung.low < before.high))
      ) {
        const text = `number ${rung.operation.seq} of ${client} came before its number ${before.operation.seq}`;
        findings.push({ rule: 'order of a client', key, text, operations: [before.operation, rung.operation] });
        break;
      }
      before = rung;
    }
  }
  return findings;
}

/** The same for the events of one key, in the order in which they were executed. Who called is told by the event or by the operation of its `rid`. */
export function orderOfEvents(key: string, events: readonly LoggedEvent[], byRid: ReadonlyMap<string, Operation>): HistoryFinding[] {
  const findings: HistoryFinding[] = [];
  const last = new Map<string, number>();
  for (const event of events) {
    const operation = event.rid === undefined ? undefined : byRid.get(event.rid);
    const { client = operation?.client, seq = operation?.seq } = event;
    if (client === undefined || seq === undefined) continue;
    const before = last.get(client) ?? -Infinity;
    if (seq < before) {
      const text = `number ${seq} of ${client} was executed after its number ${before}`;
      findings.push({ rule: 'order of a client', key, text, operations: operation === undefined ? [] : [operation] });
    }
    last.set(client, Math.max(before, seq));
  }
  return findings;
}
