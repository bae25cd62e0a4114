import type { HistoryFinding } from './finding.ts';
import type { Operation } from './operation.ts';
import { valueText } from './text.ts';

export interface Requests {
  /** One operation for each request. */
  readonly operations: readonly Operation[];
  readonly findings: readonly HistoryFinding[];
}

/**
 * Takes the attempts of each idempotent request of one key together: the request was executed after the first attempt that can have been, before the first
 * answer, and has the result that it was told. All answers must tell the same.
 */
export function requestsOf(operations: readonly Operation[]): Requests {
  const byRid = new Map<string, Operation[]>();
  const once: Operation[] = [];
  for (const operation of operations) {
    if (operation.rid === undefined) once.push(operation);
    else {
      const same = byRid.get(operation.rid);
      if (same === undefined) byRid.set(operation.rid, [operation]);
      else same.push(operation);
    }
  }
  const findings: HistoryFinding[] = [];
  for (const [rid, attempts] of byRid) {
    if (attempts.length === 1) {
      once.push(attempts[0]!);
      continue;
    }
    once.push(together(attempts));
    const told = attempts.filter(({ outcome }) => outcome === 'ok');
    const other = told.find((attempt) => resultOf(attempt) !== resultOf(told[0]!));
    if (other !== undefined)
      findings.push({
        rule: 'nothing doubled',
        key: other.key,
        text: `request ${rid} was told two results`,
        operations: [told[0]!, other],
      });
  }
  return { operations: once, findings };
}

/** A repeat may be executed after later calls of its client, so that its number says nothing. */
function together(attempts: readonly Operation[]): Operation {
  const perhaps = attempts.filter(({ outcome }) => outcome !== 'not executed');
  const [only] = perhaps;
  if (only === undefined) return attempts[0]!;
  if (perhaps.length === 1) return only;
  const t0 = perhaps.reduce((least, attempt) => Math.min(least, attempt.t0), Infinity);
  const told = perhaps.filter(({ outcome }) => outcome === 'ok').toSorted((a, b) => a.t1 - b.t1)[0];
  const { seq: _, ...request } = told ?? { ...only, t1: Infinity };
  return { ...request, t0 };
}

function resultOf({ output, life, version }: Operation): string {
  return valueText([output, life, version]);
}
