import { orderOfEvents } from './client-order.ts';
import type { HistoryFinding, HistoryRule } from './finding.ts';
import type { LoggedEvent, Operation } from './operation.ts';
import { eventText } from './ownership.ts';

/**
 * Holds the log of one key against what callers were told: versions 1, 2, 3 and so on and epochs that never fall, each request at most once, what was told as
 * executed there and as it was told, what was told as not executed not there, and the calls of each client in order. `requests` are those of the key,
 * `hasEvent` says which of the answered ones must have left an event.
 */
export function auditLog(
  key: string,
  events: readonly LoggedEvent[],
  requests: readonly Operation[],
  hasEvent: (operation: Operation) => boolean,
): HistoryFinding[] {
  const byRid = new Map<string, Operation>();
  for (const request of requests) if (request.rid !== undefined) byRid.set(request.rid, request);
  const ordered = events.every(({ at }) => at !== undefined) ? events.toSorted((a, b) => a.at! - b.at!) : events;
  return [...sequence(key, ordered), ...outcomes(key, ordered, byRid, hasEvent), ...orderOfEvents(key, ordered, byRid)];
}

function sequence(key: string, events: readonly LoggedEvent[]): HistoryFinding[] {
  const findings: HistoryFinding[] = [];
  const versions = new Map<string, number>();
  let before: LoggedEvent | undefined;
  for (const event of events) {
    const life = event.life ?? '';
    const expected = (versions.get(life) ?? 0) + 1;
    const finding = (rule: HistoryRule, text: string): number =>
      findings.push({ rule, key, text: `${text}: ${eventText(event)}`, operations: [] });
    if (event.version !== expected) finding('versions without gap', `version ${expected} was to come`);
    versions.set(life, event.version);
    const { epoch } = event;
    if (epoch === undefined) continue;
    if (before?.epoch !== undefined && epoch < before.epoch) finding('epochs rise', `the epoch fell from ${before.epoch}`);
    else before = event;
  }
  return findings;
}

function outcomes(
  key: string,
  events: readonly LoggedEvent[],
  byRid: ReadonlyMap<string, Operation>,
  hasEvent: (operation: Operation) => boolean,
): HistoryFinding[] {
  const findings: HistoryFinding[] = [];
  const find = (rule: HistoryRule, text: string, operation: Operation | undefined): void => {
    findings.push({ rule, key, text, operations: operation === undefined ? [] : [operation] });
  };
  const logged = new Map<string, LoggedEvent>();
  for (const event of events) {
    if (event.rid === undefined) continue;
    const before = logged.get(event.rid);
    if (before === undefined) logged.set(event.rid, event);
    else
      find('nothing doubled', `request ${event.rid} was executed twice: ${eventText(before)} | ${eventText(event)}`, byRid.get(event.rid));
  }
  for (const [rid, operation] of byRid) {
    const event = logged.get(rid);
    if (event === undefined) {
      if (operation.outcome === 'ok' && hasEvent(operation))
        find('nothing lost', `request ${rid} was answered and is not in the log`, operation);
      continue;
    }
    const wrong = contradiction(operation, event);
    if (wrong !== undefined) find(wrong.rule, `request ${rid} ${wrong.text}: ${eventText(event)}`, operation);
  }
  return findings;
}

function contradiction(operation: Operation, event: LoggedEvent): { readonly rule: HistoryRule; readonly text: string } | undefined {
  const { outcome, t0, t1 } = operation;
  if (outcome === 'not executed') return { rule: 'honest outcome', text: 'was told as not executed and is in the log' };
  if (event.at !== undefined && event.at < t0) return { rule: 'nothing lost', text: 'was executed before it was called' };
  if (outcome !== 'ok') return undefined;
  if (event.at !== undefined && event.at > t1) return { rule: 'nothing lost', text: 'was executed after it had been answered' };
  for (const name of ['version', 'epoch', 'by', 'life'] as const) {
    const [told, logged] = [operation[name], event[name]];
    if (told !== undefined && logged !== undefined && told !== logged)
      return { rule: 'nothing lost', text: `was told ${name} ${told}, and the log has ${logged}` };
  }
  return undefined;
}
