import { checkHistory, counter, type LoggedEvent, type Operation, verdictText } from '@perkey/core/testing';
import type { Outcome } from './outcome.ts';
import type { Turn } from './trace.ts';

export interface History {
  /** Of all callers, wherever they were. */
  readonly outcomes: readonly Outcome[];
  /** Every effect: the log that callers are held against. */
  readonly turns: readonly Turn[];
  readonly shardOf: (key: string) => number;
}

/** Everything in a history that the promise forbids, in words; empty when it holds. A state in memory may die, and nothing else may be forgotten. */
export function violations({ outcomes, turns, shardOf }: History): string[] {
  const told = new Set(outcomes.map(({ rid }) => rid));
  const untold = turns.filter(({ rid }) => !told.has(rid)).map(untoldOf);
  const operations = [...outcomes.map(operationOf), ...untold];
  const verdict = checkHistory(
    { operations, events: turns.map(eventOf) },
    {
      ...{ model: counter(), shardOf, isLogComplete: true },
      mayDie: () => true,
      least: { answered: 0, keys: 0 },
    },
  );
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

/** What was executed for a caller whose outcome is not known. */
function untoldOf({ key, rid, at }: Turn): Operation {
  const { sender, seq } = numberOf(rid);
  return { client: sender, key, op: 'add', rid, seq, t0: at, t1: Infinity, outcome: 'unknown' };
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
