import { PerkeyError, type Executed } from '@perkey/core';
import type { Seen } from './ledger.ts';
import { machineMs } from './machine-clock.ts';

/** One call, from its start to what its caller was told. Times by the machine's clock. */
export interface Outcome {
  readonly method: 'add' | 'get';
  readonly key: string;
  /** Names the call; '' for `get`. */
  readonly rid: string;
  readonly t0: number;
  readonly t1: number;
  readonly told: { readonly ok: Seen } | { readonly executed: Executed; readonly code: string; readonly message: string };
}

/** Waits for the end of a call and writes down what it came to. */
export async function outcomeOf(call: Pick<Outcome, 'method' | 'key' | 'rid'>, run: () => Promise<Seen>): Promise<Outcome> {
  const t0 = machineMs();
  try {
    const ok = await run();
    return { ...call, t0, t1: machineMs(), told: { ok } };
  } catch (error) {
    const t1 = machineMs();
    if (!(error instanceof PerkeyError)) throw error;
    return { ...call, t0, t1, told: { executed: error.executed, code: error.code, message: error.message } };
  }
}
