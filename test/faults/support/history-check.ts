import { checkHistory, counter, type History, type LoggedEvent, type Operation, verdictText } from '@perkey/core/testing';
import type { Outcome } from './outcome.ts';
import type { Turn } from './trace.ts';

export interface Witnessed {
  /** Of all callers, wherever they were. */
  readonly outcomes: readonly Outcome[];
  /** Every effect: the log that callers are held against. */
  readonly turns: readonly Turn[];
  readonly shardOf: (key: string) => number;
}

/** Everything in a history that the promise forbids, in words; empty when it holds. A state in memory may die, and nothing else may be forgotten. */
export function violations({ outcomes, turns, shardOf }: Witnessed): string[] {
  const history: History = { operations: outcomes.map(operationOf), events: turns.map(eventOf) };
  const verdict = checkHistory(history, {
    ...{ model: counter(), shardOf, isLogComplete: true },
    mayDie: () => true,
    least: { answered: 0, keys: 0 },
  });
  return verdict.decision === 'accepted' ? [] : verdictText(verdict).split('\n');
}

function operationOf({ method, key, rid, t0, t1, told }: Outcome): Operation {
  const { sender, seq } = method === 'add' ? numberOf(rid) : { sender: 'a reader', seq: undefined };
  const call = { client: sender, key, op: method === 'add' ? 'add' : 'read', ...(seq !== undefined && { rid, seq }), t0, t1 };
  if (!('ok' in told)) return { ...call, outcome: told.executed === 'no' ? 'not executed' : 'unknown', code: told.code };
  const { value, born, epoch, node, by } = told.ok;
  const version = method === 'add' ? { version: value } : {};
  return { ...call, outcome: 'ok', output: value, epoch, by: `${node} ${by}`, life: born, ...version };
}

function eventOf({ key, rid, value, born, epoch, node, by, at }: Turn): LoggedEvent {
  const { sender, seq } = numberOf(rid);
  return { key, rid, version: value, life: born, epoch, by: `${node} ${by}`, at, client: sender, seq };
}

/** `rid` is `<sender>/<key>/<number>`. */
function numberOf(rid: string): { readonly sender: string; readonly seq: number } {
  const cut = rid.lastIndexOf('/');
  return { sender: rid.slice(0, cut), seq: Number(rid.slice(cut + 1)) };
}
