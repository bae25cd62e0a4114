import { appendList } from './append-list.ts';
import { checkHistory, type CheckHistoryOptions, type HistoryVerdict } from './check.ts';
import { counter } from './counter.ts';
import type { HistoryModel } from './model.ts';
import type { LoggedEvent, Operation } from './operation.ts';
import { register } from './register.ts';

export type More = Partial<Operation>;

const base = { client: 'a', key: 'k' };

export function ok(t0: number, t1: number, op: string, output?: unknown, more: More = {}): Operation {
  return { ...base, op, t0, t1, outcome: 'ok', ...(output !== undefined && { output }), ...more };
}

export function unknown(t0: number, t1: number, op: string, more: More = {}): Operation {
  return { ...base, op, t0, t1, outcome: 'unknown', ...more };
}

export function refused(t0: number, t1: number, op: string, more: More = {}): Operation {
  return { ...base, op, t0, t1, outcome: 'not executed', ...more };
}

export const byOther: More = { client: 'b' };

export function put(value: string, more: More = {}): More {
  return { input: value, ...more };
}

export const models: Readonly<Record<'counter' | 'register' | 'list', HistoryModel>> = {
  counter: counter() as HistoryModel,
  register: register() as HistoryModel,
  list: appendList() as HistoryModel,
};

export function check(
  model: keyof typeof models,
  operations: readonly Operation[],
  more: Partial<CheckHistoryOptions> & { readonly events?: readonly LoggedEvent[] } = {},
): HistoryVerdict {
  const { events = [], ...options } = more;
  return checkHistory({ operations, events }, { model: models[model], ...options });
}

export function rulesOf(verdict: HistoryVerdict): string[] {
  return [...new Set(verdict.findings.map(({ rule }) => rule))];
}
