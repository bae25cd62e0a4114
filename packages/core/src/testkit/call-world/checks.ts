import type { CallRecord } from './callers.ts';
import type { Execution } from './fake-host.ts';

/** A call may end this much after its deadline: the slack of the one timer, and of the clock. */
const lateMaxMs = 10;

/** What is to be checked: what was executed, and what each caller was told. */
export interface Checked {
  readonly log: readonly Execution[];
  readonly callers: readonly {
    readonly name: string;
    readonly calls: readonly CallRecord[];
    readonly router: { readonly inFlight: number };
  }[];
}

export interface CheckOptions {
  /** A request may start this much after its caller's deadline: its time on the way. Default 100. */
  readonly startLateMaxMs?: number;
  /** Callers whose process stood still for a time: they may be told late. */
  readonly stalled?: ReadonlySet<string>;
}

export interface Tally {
  readonly ok: number;
  readonly refused: number;
  readonly unknown: number;
  readonly repeated: number;
}

/** What the callers were told, held against what the nodes executed. Gives each breach as a line. */
export function breaches(world: Checked, { startLateMaxMs = 100, stalled }: CheckOptions = {}): string[] {
  const byCall = new Map<string, Execution[]>();
  for (const execution of world.log) {
    const id = `${execution.caller}#${execution.n}`;
    const known = byCall.get(id);
    if (known) known.push(execution);
    else byCall.set(id, [execution]);
  }
  const found: string[] = [];
  for (const { calls, name, router } of world.callers) {
    for (const call of calls) {
      const id = `${name}#${call.n}`;
      for (const breach of breachesOf(call, byCall.get(id) ?? [], startLateMaxMs)) found.push(`${id} ${call.key}: ${breach}`);
      const late = call.settledAt === undefined || stalled?.has(name) ? 0 : call.settledAt - call.deadline;
      if (late > lateMaxMs) found.push(`${id} ${call.key}: settled ${late} ms late`);
    }
    found.push(...orderBreaches(world.log, calls, name));
    if (router.inFlight !== 0) found.push(`${name}: ${router.inFlight} calls are still in flight`);
  }
  return found;
}

function breachesOf(call: CallRecord, executions: readonly Execution[], startLateMaxMs: number): string[] {
  const { error, value, settledAt, deadline } = call;
  const found: string[] = [];
  if (settledAt === undefined) return ['never settled'];
  if (executions.some(({ at }) => at > deadline + startLateMaxMs)) found.push('I8: started after its deadline');
  if (!call.mayRepeat && executions.length > 1) found.push(`executed ${executions.length} times`);
  if (executions.some(({ key }) => key !== call.key)) found.push('executed for another key');
  if (call.isNotify) return found;
  if (error?.executed === 'no' && executions.length > 0) found.push(`I11: told ${error.code} (not executed), but was executed`);
  if (error?.executed !== 'no' && error?.executed !== 'unknown' && executions.length === 0) found.push('told as executed, but was not');
  const mark = value as { readonly caller: string; readonly n: number } | undefined;
  if (!error && (mark?.caller !== call.caller || mark.n !== call.n)) found.push(`got the answer to ${mark?.caller}#${mark?.n}`);
  return found;
}

/** I6, of the calls that are executed once at most. */
function orderBreaches(log: readonly Execution[], calls: readonly CallRecord[], caller: string): string[] {
  const found: string[] = [];
  const last = new Map<string, number>();
  for (const { key, n, caller: by } of log) {
    if (by !== caller || calls[n - 1]?.mayRepeat) continue;
    const before = last.get(key) ?? 0;
    if (n < before) found.push(`I6: ${caller}#${n} was executed after #${before} for ${key}`);
    last.set(key, Math.max(before, n));
  }
  return found;
}

export function tally(world: Checked): Tally {
  const calls = world.callers.flatMap((caller) => caller.calls).filter(({ isNotify }) => !isNotify);
  const executions = new Set(world.log.map(({ caller, n }) => `${caller}#${n}`));
  return {
    ok: calls.filter(({ error }) => !error).length,
    refused: calls.filter(({ error }) => error?.executed === 'no').length,
    unknown: calls.filter(({ error }) => error?.executed === 'unknown').length,
    repeated: world.log.length - executions.size,
  };
}
