import { checkHistory, counter, type History, type LoggedEvent, type Operation, verdictText } from '@perkey/core/testing';
import { shardOf } from '@perkey/core/internal';
import type { Seen } from './ledger.ts';
import type { Outcome } from './outcome.ts';
import type { Turn } from './trace.ts';

export const shardCount = 256;

/** A turn with its time, or one that a log holds, whose place says when it was. */
export type Effect = Omit<Turn, 'is' | 'at'> & { readonly at?: number };

export interface Evidence {
  /** Of all callers, wherever they were. */
  readonly outcomes: readonly Outcome[];
  /** Every turn of every process, or what their log holds in its order. */
  readonly turns: readonly Effect[];
  /** Whether a state may have died with its process. */
  readonly mayDie: boolean;
  /** Whether calls of one caller to one key run in the order in which they were made; repeats may not. Default: yes. */
  readonly isOrdered?: boolean;
  /** Whether epochs have to rise for each key, and not for all keys of a shard together. Default: no. */
  readonly epochsOfKeys?: boolean;
}

/** Everything that the promise forbids, in words; empty when it holds. What could not be decided is not passed. */
export function problemsOf({ outcomes, turns, mayDie, isOrdered = true, epochsOfKeys = false }: Evidence): string[] {
  const operations = outcomes.map((outcome) => operationOf(outcome, isOrdered)).filter((operation) => operation !== undefined);
  const history: History = { operations, events: turns.map((turn) => eventOf(turn, isOrdered)) };
  const verdict = checkHistory(history, {
    model: counter(),
    shardOf: (key) => (epochsOfKeys ? key : shardOf(key, shardCount)),
    mayDie: () => mayDie,
    isLogComplete: true,
    least: { answered: 0, keys: 0 },
  });
  return verdict.decision === 'accepted' ? [] : [verdictText({ ...verdict, findings: verdict.findings.slice(0, 5) })];
}

/** A read that was not answered says nothing. */
function operationOf({ method, key, rid, t0, t1, told }: Outcome, isOrdered: boolean): Operation | undefined {
  const isRead = method === 'get';
  if (isRead && !('ok' in told)) return undefined;
  const { sender, number } = callOf(rid);
  const call = { client: sender, key, op: isRead ? 'read' : 'add', t0, t1, ...(isRead ? {} : { rid, ...(isOrdered && { seq: number }) }) };
  if ('ok' in told) return { ...call, outcome: 'ok', output: told.ok.value, ...placeOf(told.ok) };
  const outcome = told.executed === 'no' ? 'not executed' : 'unknown';
  return { ...call, outcome, code: told.code };
}

function eventOf({ key, rid, at, ...seen }: Effect, isOrdered: boolean): LoggedEvent {
  const { sender, number } = callOf(rid);
  return {
    key,
    rid,
    ...(at !== undefined && { at }),
    version: seen.value,
    client: sender,
    ...(isOrdered && { seq: number }),
    ...placeOf(seen),
  };
}

function placeOf({ born, epoch, node, by }: Seen): { life: string; epoch: number; by: string } {
  return { life: born, epoch, by: `${node} ${by}` };
}

/** `rid` is `<sender>/<key>/<number>`. */
function callOf(rid: string): { readonly sender: string; readonly number: number } {
  const [sender = '', , number] = rid.split('/');
  return { sender: sender || 'reader', number: Number(number) };
}
