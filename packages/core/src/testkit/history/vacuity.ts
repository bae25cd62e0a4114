import type { HistoryFinding } from './finding.ts';
import type { Operation } from './operation.ts';

/** What must have happened for a verdict to mean something. */
export interface LeastOfHistory {
  /** Answered operations. Default 1. */
  readonly answered?: number;
  /** Keys with an answered operation. Default 1. */
  readonly keys?: number;
  /** Codes of errors that callers may have seen; default: any. */
  readonly codes?: readonly string[];
  /** How often each fault was seen to bite (calls refused, bytes held, owners evicted); none may be 0. */
  readonly bites?: Readonly<Record<string, number>>;
}

export function vacuity(operations: readonly Operation[], { answered = 1, keys = 1, codes, bites = {} }: LeastOfHistory): HistoryFinding[] {
  const findings: HistoryFinding[] = [];
  const find = (text: string, about: readonly Operation[] = []): number =>
    findings.push({ rule: 'not vacuous', key: '', text, operations: about });
  const seen = new Set<string>();
  let count = 0;
  const others = new Map<string, Operation>();
  const known = codes && new Set(codes);
  for (const operation of operations) {
    if (operation.outcome === 'ok') {
      count += 1;
      seen.add(operation.key);
    } else if (known && operation.code !== undefined && !known.has(operation.code)) others.set(operation.code, operation);
  }
  if (count < answered) find(`${count} operations were answered, at least ${answered} should have been`);
  if (seen.size < keys) find(`${seen.size} keys were answered, at least ${keys} should have been`);
  for (const [code, operation] of others) find(`nobody should have been told ${code}`, [operation]);
  for (const [fault, times] of Object.entries(bites)) if (!(times > 0)) find(`the fault "${fault}" did not bite`);
  return findings;
}
